//! Keys of providers: a type that cannot be printed, and the cleaning of texts that may quote one.

use std::fmt;
use std::sync::Arc;

/// Longest text of a provider that is passed on, in bytes.
const MAX_QUOTE_BYTES: usize = 500;

/// Shorter secrets are not looked for in texts: they would blank out ordinary words.
const MIN_SOUGHT_BYTES: usize = 6;

/// How well-known keys begin; what follows is blanked out whoever it belongs to.
const KEY_PREFIXES: &[&str] =
    &["sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "AIza", "ghp_", "github_pat_", "hf_", "r8_", "Bearer "];

/// Characters after a prefix that make it look like a key and not like a word.
const KEY_TAIL: usize = 6;

/// A key. It has neither `Display` nor `Serialize`, and its `Debug` is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a key; white space around it is dropped, since keys are often read from files.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// The key itself, for the one header it belongs in.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Makes the words of a provider fit to be shown: no secret, no key of any shape, one line, at most 500 bytes.
pub(super) fn quotable(text: &str, secrets: &[Secret]) -> String {
    let known = secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= MIN_SOUGHT_BYTES);
    let blanked = known.fold(text.to_owned(), |text, secret| text.replace(secret, "***"));
    let blanked = KEY_PREFIXES.iter().fold(blanked, |text, prefix| without_keys(&text, prefix));
    let mut line = blanked.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "");
    if line.len() > MAX_QUOTE_BYTES {
        line.truncate(line.floor_char_boundary(MAX_QUOTE_BYTES));
        line.push('…');
    }
    line
}

/// Replaces whatever follows the prefix as a key would: providers quote keys with stars in the middle.
fn without_keys(text: &str, prefix: &str) -> String {
    let of_a_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(prefix) {
        let end = after.find(|c: char| !of_a_key(c)).unwrap_or(after.len());
        let (tail, next) = after.split_at(end);
        let starts_a_word = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        clean.push_str(before);
        clean.push_str(prefix);
        clean.push_str(if starts_a_word && tail.len() >= KEY_TAIL { "***" } else { tail });
        rest = next;
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars() {
        assert_eq!(format!("{:?}", Secret::new(" sk-abc\n")), "***");
    }

    #[test]
    fn quoted_text_loses_the_key_itself_and_whatever_looks_like_one() {
        let key = Secret::new("very/private");
        assert_eq!(
            quotable(
                "bad key very/private,\n not sk-proj-12****89. Bearer abcdefgh; a risk-free task",
                &[key]
            ),
            "bad key ***, not sk-*** Bearer ***; a risk-free task"
        );
    }

    #[test]
    fn quoted_text_is_cut_after_it_was_cleaned() {
        let key = Secret::new("0123456789");
        let quoted = quotable(&format!("{}0123456789", "x".repeat(495)), &[key]);
        assert_eq!(quoted, format!("{}***", "x".repeat(495)));
        assert_eq!(quotable(&"ä".repeat(400), &[]), format!("{}…", "ä".repeat(250)));
    }
}
