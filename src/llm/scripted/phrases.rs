//! What a user's message asks for, as far as a few words tell.

use serde_json::{Value, json};

/// Cities people ask about, and their time zones.
const ZONES: &[(&str, &str)] = &[
    ("tokyo", "Asia/Tokyo"),
    ("berlin", "Europe/Berlin"),
    ("london", "Europe/London"),
    ("paris", "Europe/Paris"),
    ("zurich", "Europe/Zurich"),
    ("new york", "America/New_York"),
    ("los angeles", "America/Los_Angeles"),
    ("san francisco", "America/Los_Angeles"),
    ("são paulo", "America/Sao_Paulo"),
    ("delhi", "Asia/Kolkata"),
    ("singapore", "Asia/Singapore"),
    ("sydney", "Australia/Sydney"),
];

/// Words that give away what a message is about, by what it may be sorted as.
const HINTS: &[(&str, &[&str])] = &[
    ("bug", &["cannot", "can't", "broken", "crash", "error", "does not work", "fails"]),
    ("question", &["?"]),
    ("request", &["please", "would like", "could you", "wish"]),
    ("praise", &["thank", "great", "love"]),
    ("high", &["cannot", "can't", "tomorrow", "today", "urgent", "lost"]),
    ("normal", &["broken", "error", "does not work", "fails"]),
    ("positive", &["thank", "great", "love", "good"]),
    ("negative", &["cannot", "can't", "broken", "bad", "fails"]),
];

/// Whether a text in lower case gives away that it should be sorted as this.
pub(super) fn hints_at(text: &str, option: &str) -> bool {
    HINTS.iter().any(|(meant, signs)| *meant == option && signs.iter().any(|sign| text.contains(sign)))
}

/// Whether one of these words stands in the text, whatever surrounds it.
pub(super) fn has_word(text: &str, words: &[&str]) -> bool {
    let lower = text.to_lowercase();
    lower.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).any(|word| words.contains(&word))
}

/// The time zone of a place that is named, by city or as in `Europe/Berlin`.
pub(super) fn zone(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    if let Some((_, zone)) = ZONES.iter().find(|(city, _)| lower.contains(city)) {
        return Some((*zone).into());
    }
    let is_name = |part: &str| {
        part.starts_with(char::is_uppercase) && part.chars().all(|c| c.is_alphabetic() || c == '_')
    };
    let names = text.split_whitespace().map(|word| word.trim_end_matches(['?', '.', ',', '!']));
    let mut zones = names
        .filter(|word| word.split_once('/').is_some_and(|(area, place)| is_name(area) && is_name(place)));
    zones.next().map(Into::into)
}

/// Addresses in the text.
pub(super) fn urls(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '(' | ')'));
    let bare = words.map(|word| word.trim_end_matches(['.', ',', '?', '!', ';', ':']));
    bare.filter(|word| word.starts_with("https://") || word.starts_with("http://"))
}

/// `remember that my name is Ada` and `set colour to blue`: a key and a value.
pub(super) fn to_remember(text: &str) -> Option<(String, Value)> {
    let (key, value) = match after(text, "remember ") {
        Some(rest) => rest.split_once(" is ").or_else(|| rest.split_once(" are "))?,
        None => after(text, "set ")?.split_once(" to ")?,
    };
    let mut key = key.trim();
    for article in ["that ", "my ", "the "] {
        key = key.strip_prefix(article).unwrap_or(key);
    }
    let key: String = key.split_whitespace().collect::<Vec<_>>().join("_");
    let value = sentence(value);
    let known =
        serde_json::from_str(value).ok().filter(|value: &Value| value.is_number() || value.is_boolean());
    (!key.is_empty() && !value.is_empty()).then(|| (key, known.unwrap_or_else(|| json!(value))))
}

/// What is to be noted: `note that the shop is closed`.
pub(super) fn to_note(text: &str) -> Option<&str> {
    let starts = ["note that ", "note down that ", "note down ", "note: "];
    let note = starts.iter().find_map(|start| after(text, start)).map(sentence)?;
    (!note.is_empty()).then_some(note)
}

/// Which notes are to be taken away, by the words they share with the message: `remove the note about the meeting`.
pub(super) fn to_remove(text: &str) -> Option<impl Fn(&str) -> bool> {
    let starts = ["remove the note ", "delete the note ", "forget the note "];
    let about = starts.iter().find_map(|start| after(text, start)).map(sentence)?.to_lowercase();
    let words: Vec<String> = about.split_whitespace().filter(|word| word.len() > 3).map(Into::into).collect();
    Some(move |note: &str| words.iter().any(|word| *word != "about" && has_word(note, &[word])))
}

/// Whether it asks for what was remembered, and if so, for the notes alone.
pub(super) fn asks_back(text: &str) -> Option<bool> {
    let lower = text.to_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    if has(&["i noted", "my notes", "the notes"]) {
        return Some(true);
    }
    let all = ["do you remember", "do you know about me", "did i tell you", "session state", "what is my "];
    has(&all).then_some(false)
}

/// What stands in quotation marks.
pub(super) fn quoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(['"', '“'])?;
    rest.split_once(['"', '”']).map(|(inside, _)| inside).filter(|inside| !inside.is_empty())
}

/// The value of `name=value`, up to the next space, without the sentence's punctuation.
pub(super) fn assigned<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    Some(value.trim_end_matches(['.', ',', '?', '!', ';'])).filter(|value| !value.is_empty())
}

/// The text that the message is about: what follows its first colon or question mark, else all of it.
pub(super) fn subject(text: &str) -> &str {
    let rest = text.split_once(": ").or_else(|| text.split_once("? ")).map_or("", |(_, rest)| rest.trim());
    if rest.is_empty() { text.trim() } else { rest }
}

/// What follows a phrase that begins a word, in whatever case it is written.
fn after<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    // Lower case in ASCII alone, so that places in both texts are the same.
    let lower = text.to_ascii_lowercase();
    let mut found = lower.match_indices(phrase);
    let starts =
        |place: usize| text.get(..place).is_some_and(|before| !before.ends_with(char::is_alphanumeric));
    let (place, _) = found.find(|(place, _)| starts(*place))?;
    text.get(place + phrase.len()..)
}

/// Up to the end of the sentence.
fn sentence(text: &str) -> &str {
    let end = text.find(['\n', '!', '?']).or_else(|| text.find(". ")).unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_remembered_has_a_key_and_a_value() {
        let cases = [
            ("Please remember that my name is Ada.", Some(("name", json!("Ada")))),
            ("Remember the best colour is dark blue! And 2 * 3?", Some(("best_colour", json!("dark blue")))),
            ("set volume to 11", Some(("volume", json!(11)))),
            ("I cannot remember", None),
            ("reset it to zero", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(key, value)| (key.to_owned(), value));
            assert_eq!(to_remember(text), expected, "{text}");
        }
    }

    #[test]
    fn places_addresses_and_words_are_found_among_punctuation() {
        assert_eq!(zone("What time is it in Tokyo?"), Some("Asia/Tokyo".into()));
        assert_eq!(zone("The time in America/Lima, please"), Some("America/Lima".into()));
        assert_eq!(zone("either/or"), None);
        let text = "See https://example.com. Or (http://a.b/c?d=e)!";
        assert_eq!(urls(text).collect::<Vec<_>>(), ["https://example.com", "http://a.b/c?d=e"]);
        assert!(has_word("It's lunch-time. TIME!", &["time"]));
        assert!(!has_word("sometimes", &["time"]));
    }
}
