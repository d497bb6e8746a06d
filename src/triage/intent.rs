//! What a prompt asks of Norm: its first word decides, and is taken away before the text reaches him.

use super::form::words;

words! {
    /// What a run is for, and so what it may do.
    Intent {
        /// To mend what is wrong.
        Fix = "fix",
        /// To check a draft; changes nothing.
        Verify = "verify",
        /// To tell how things stand; changes nothing.
        Status = "status",
    }
}

/// A text for Norm, and what it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What its first word says; `None` if that is an ordinary word.
    pub intent: Option<Intent>,
    /// The text without that word, and without blanks around it; may be empty.
    pub text: String,
}

impl Intent {
    /// What Norm is told where nothing is left of the text.
    pub fn default_text(self) -> &'static str {
        match self {
            Self::Fix => "Find the cause of this issue and fix it.",
            Self::Verify => "Check the current draft against the evidence.",
            Self::Status => "Report the current state of this issue.",
        }
    }

    /// The intent a word stands for; `slash` if it must have one.
    fn of_word(word: &str, slash: bool) -> Option<Self> {
        let word = word.strip_suffix([':', ',', '.', '!', '?']).unwrap_or(word);
        let name = match word.strip_prefix('/') {
            Some(name) => name,
            None if slash => return None,
            None => word,
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("fix") || is("debug") {
            Some(Self::Fix)
        } else if is("verify") {
            Some(Self::Verify)
        } else if is("status") {
            Some(Self::Status)
        } else {
            None
        }
    }
}

impl Asked {
    /// Reads a prompt.
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let (word, rest) = first_word(text);
        match Intent::of_word(word, false) {
            Some(intent) => Self { intent: Some(intent), text: rest.to_owned() },
            None => Self { intent: None, text: text.to_owned() },
        }
    }

    /// Reads a comment; `None` unless it mentions `@norm`. A command right behind the mention wins over the first word.
    pub fn mentioned(text: &str) -> Option<Self> {
        let mut left = String::with_capacity(text.len());
        let mut commanded = None;
        let mut rest = text;
        let mut found = false;
        while let Some(start) = mention(rest, left.chars().next_back()) {
            found = true;
            let (before, from) = rest.split_at_checked(start)?;
            left.push_str(before);
            rest = from.get(MENTION.len()..)?;
            let (word, behind) = first_word(rest.trim_start());
            if let Some(intent) = Intent::of_word(word, true) {
                commanded.get_or_insert(intent);
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix([',', ':']) {
                rest = behind;
            }
            if left.ends_with(char::is_whitespace) || left.is_empty() {
                rest = rest.trim_start();
            }
        }
        left.push_str(rest);
        let read = Self::read(&left);
        let whole = Self { intent: commanded, text: left.trim().to_owned() };
        found.then_some(if commanded.is_some() { whole } else { read })
    }
}

const MENTION: &str = "@norm";

/// Where the next mention begins, as a word of its own; `before` is what stands in front of the text.
fn mention(text: &str, before: Option<char>) -> Option<usize> {
    let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '@');
    text.char_indices().map(|(at, _)| at).find(|at| {
        let Some((front, from)) = text.split_at_checked(*at) else { return false };
        let is_it = from.get(..MENTION.len()).is_some_and(|start| start.eq_ignore_ascii_case(MENTION));
        let free_before = front
            .chars()
            .next_back()
            .or(before)
            .is_none_or(|letter| !is_word(letter) && !matches!(letter, '.' | '-' | '+' | '/'));
        let mut behind = from.get(MENTION.len()..).unwrap_or_default().chars();
        let free_behind = match behind.next() {
            Some('.' | '-') => behind.next().is_none_or(|letter| !is_word(letter)),
            Some(letter) => !is_word(letter),
            None => true,
        };
        is_it && free_before && free_behind
    })
}

fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(intent: Option<Intent>, text: &str) -> Asked {
        Asked { intent, text: text.into() }
    }

    #[test]
    fn the_first_word_is_the_intent_with_a_slash_or_without() {
        use Intent::{Fix, Status, Verify};
        let known = [
            ("/fix the greeting", asked(Some(Fix), "the greeting")),
            ("fix the greeting", asked(Some(Fix), "the greeting")),
            ("/debug   why", asked(Some(Fix), "why")),
            ("DEBUG: why", asked(Some(Fix), "why")),
            ("verify the greeting", asked(Some(Verify), "the greeting")),
            ("/Verify, please", asked(Some(Verify), "please")),
            ("/status", asked(Some(Status), "")),
            ("status?", asked(Some(Status), "")),
            ("  /verify\nline", asked(Some(Verify), "line")),
        ];
        for (text, expected) in known {
            assert_eq!(Asked::read(text), expected, "{text}");
        }
    }

    #[test]
    fn other_words_are_left_as_they_are() {
        for text in ["/foo bar", "fixing things", "/fixed it", "please fix", "verify-this", "fix?! it"] {
            assert_eq!(Asked::read(text), asked(None, text), "{text}");
        }
    }

    #[test]
    fn a_mention_is_a_word_of_its_own() {
        for text in
            ["@normal", "x@norm.example", "me@norm", "@norm_x", "no norm here", "@norm.example", "@@norm"]
        {
            assert_eq!(Asked::mentioned(text), None, "{text}");
        }
        for text in ["@norm", "@NORM", "(@norm)", "see @norm.", "hey\n@Norm!"] {
            assert!(Asked::mentioned(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_mention_is_removed_and_a_command_behind_it_wins() {
        use Intent::{Fix, Status, Verify};
        let known = [
            ("@norm verify this", asked(Some(Verify), "this")),
            ("please @norm /verify this", asked(Some(Verify), "please this")),
            ("fix it, @norm /status", asked(Some(Status), "fix it,")),
            ("@norm, /fix it", asked(Some(Fix), "it")),
            ("verify this @norm", asked(Some(Verify), "this")),
            ("hello @norm verify this", asked(None, "hello verify this")),
            ("@norm @norm /verify x", asked(Some(Verify), "x")),
            ("@norm", asked(None, "")),
            ("@norm /debug", asked(Some(Fix), "")),
            ("@norm /foo", asked(None, "/foo")),
        ];
        for (text, expected) in known {
            assert_eq!(Asked::mentioned(text), Some(expected), "{text}");
        }
    }
}
