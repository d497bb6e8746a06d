//! What an agent does to a text where its instructions say no more than that, as in “You shorten texts.”

use super::scene::Scene;

/// Words a text can do without.
const FILLERS: &[&str] =
    &["actually", "basically", "just", "perhaps", "quite", "rather", "really", "simply", "somewhat", "very"];

/// The most words of a headline.
const HEADLINE_WORDS: usize = 8;

/// What is done to a text.
#[derive(Debug, PartialEq, Eq)]
enum Craft {
    Shorten,
    List,
    Headline,
    /// What says this word.
    Pick(String),
}

/// The message's text as the instructions would have it; `None` if they say nothing that is known.
pub(super) fn crafted(scene: &Scene<'_>) -> Option<String> {
    let craft = Craft::of(scene.system)?;
    let (text, feedback) = without_remarks(scene.text);
    let made = match craft {
        Craft::Shorten => shortened(text),
        Craft::List => list(points(text)),
        Craft::Headline => headline(text),
        Craft::Pick(word) => {
            let says = |point: &String| point.to_lowercase().contains(&word);
            list(points(text).into_iter().filter(says).collect())
        }
    };
    Some(match feedback {
        Some(feedback) => format!("{made} (Done again: {feedback})"),
        None => made,
    })
}

impl Craft {
    fn of(instructions: &str) -> Option<Self> {
        let lower = instructions.to_lowercase();
        let has = |phrase: &str| lower.contains(phrase);
        if has("you shorten") {
            return Some(Self::Shorten);
        }
        if has("you make lists") {
            return Some(Self::List);
        }
        if has("you write headlines") {
            return Some(Self::Headline);
        }
        let (_, rest) = lower.split_once("you pick")?;
        rest.split('`').nth(1).map(|word| Self::Pick(word.to_owned()))
    }
}

/// The text before what a workflow adds to it, and what a person said when they refused it before.
fn without_remarks(text: &str) -> (&str, Option<&str>) {
    let body = text.split("\n\n<").next().unwrap_or(text).trim();
    let feedback = text.rsplit_once("<feedback>").map(|(_, rest)| rest);
    let feedback = feedback.and_then(|rest| rest.split("</feedback>").next()).map(str::trim);
    (body, feedback.filter(|feedback| !feedback.is_empty()))
}

fn is_filler(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    FILLERS.contains(&bare.as_str())
}

/// One round: fillers go first, then the last sentence, then what follows the last comma.
fn shortened(text: &str) -> String {
    let kept: Vec<&str> = text.split_whitespace().filter(|word| !is_filler(word)).collect();
    if kept.len() < text.split_whitespace().count() {
        return kept.join(" ");
    }
    let mut sentences = sentences(text);
    if sentences.len() > 1 {
        sentences.pop();
        return sentences.join(" ");
    }
    match text.rsplit_once(", ") {
        Some((start, _)) => format!("{start}."),
        None => text.into(),
    }
}

fn headline(text: &str) -> String {
    let first = points(text).into_iter().next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().filter(|word| !is_filler(word)).collect();
    let mut line = words.join(" ");
    if let Some(start) = words.get(..HEADLINE_WORDS) {
        let start = start.join(" ");
        line = start.split_once(',').map_or(start.clone(), |(clause, _)| clause.to_owned());
    }
    let line = line.trim_end_matches(|c: char| !c.is_alphanumeric());
    let mut letters = line.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn list(points: Vec<String>) -> String {
    match points.as_slice() {
        [] => "Nothing.".into(),
        points => points.iter().map(|point| format!("- {point}")).collect::<Vec<_>>().join("\n"),
    }
}

/// Its lines, without headings and what marks them as a list's; of a text in one line, its sentences.
fn points(text: &str) -> Vec<String> {
    let bare = |line: &str| line.trim().trim_start_matches(['-', '*', '•']).trim_start().to_owned();
    let is_heading = |line: &&str| line.trim_start().starts_with('#');
    let lines = text.lines().filter(|line| !is_heading(line)).map(bare);
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [only] => sentences(only),
        _ => lines,
    }
}

fn sentences(text: &str) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split_whitespace() {
        match sentences.last_mut().filter(|_| is_open) {
            Some(sentence) => {
                sentence.push(' ');
                sentence.push_str(word);
            }
            None => sentences.push(word.into()),
        }
        is_open = !word.ends_with(['.', '!', '?']);
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_of_shortening_takes_something_away_until_nothing_can_go() {
        let mut text = "It is really very late, so we go. The door is just open.".to_owned();
        let mut rounds = Vec::new();
        for _ in 0..4 {
            text = shortened(&text);
            rounds.push(text.clone());
        }
        let expected = [
            "It is late, so we go. The door is open.",
            "It is late, so we go.",
            "It is late.",
            "It is late.",
        ];
        assert_eq!(rounds, expected);
    }

    #[test]
    fn lists_are_made_of_lines_or_of_sentences() {
        assert_eq!(list(points("* one\n\n- two")), "- one\n- two");
        assert_eq!(list(points("One is 1.5 long. Two!")), "- One is 1.5 long.\n- Two!");
        assert_eq!(headline("- breaking: the old names of all settings are gone now."), {
            "Breaking: the old names of all settings are"
        });
    }

    #[test]
    fn instructions_say_what_is_done_and_a_person_says_what_was_wrong() {
        let pick = Craft::of("You are exact. You pick the lines that say `Breaking`.");
        assert_eq!(pick, Some(Craft::Pick("breaking".into())));
        assert_eq!(Craft::of("You help."), None);
        let text = "A text.\n\n<feedback>\nToo long\n</feedback>";
        assert_eq!(without_remarks(text), ("A text.", Some("Too long")));
    }
}
