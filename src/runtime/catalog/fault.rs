//! What is wrong with a file a user wrote, and where.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A stretch of one line. Lines and columns count from 1, columns and widths in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Which line.
    pub line: usize,
    /// Where it begins.
    pub column: usize,
    /// How far it goes; it is shown up to the end of the line at most.
    pub width: usize,
}

impl At {
    /// The very beginning, for faults of a whole file.
    pub const START: Self = Self { line: 1, column: 1, width: 1 };

    /// The beginning of a line.
    pub fn line(line: usize) -> Self {
        Self { line, ..Self::START }
    }
}

/// Something wrong in a file, as in `agents/x.md:4:3: unknown key`, with the line below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, named as the user named it.
    pub file: PathBuf,
    /// From 1, in the whole file.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The line with a caret under the place, where that helps and gives no secret away.
    pub snippet: Option<String>,
}

impl Fault {
    /// A fault of a file, or folder, whose text is not known.
    pub fn of(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: 1, column: 1, message: message.into(), snippet: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)?;
        match &self.snippet {
            Some(snippet) => write!(f, "\n{snippet}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// The text of a file, to point into.
#[derive(Debug)]
pub struct Source {
    /// The file, named as the user named it.
    pub file: PathBuf,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Something wrong at a place of this file.
    pub fn fault(&self, at: At, message: impl Into<String>) -> Fault {
        let message = message.into();
        Fault {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            message,
            snippet: self.snippet(at),
        }
    }

    /// The place of a range of bytes.
    pub fn at_bytes(&self, range: Range<usize>) -> At {
        let before = self.text.get(..range.start).unwrap_or(&self.text);
        let start_of_line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start_of_line..).unwrap_or_default().chars().count() + 1;
        let width = self.text.get(range).unwrap_or_default().chars().count();
        At { line: before.matches('\n').count() + 1, column, width }
    }

    fn snippet(&self, at: At) -> Option<String> {
        let line = self.text.lines().nth(at.line.checked_sub(1)?)?;
        if line.trim().is_empty() || may_hold_a_secret(line) || line.len() > LONGEST_SNIPPET {
            return None;
        }
        let number = at.line.to_string();
        let (margin, before) = (" ".repeat(number.len()), " ".repeat(at.column.saturating_sub(1)));
        let rest = (line.chars().count() + 1).saturating_sub(at.column);
        let carets = "^".repeat(at.width.clamp(1, rest.max(1)));
        Some(format!("  {number} | {}\n  {margin} | {before}{carets}", line.replace('\t', " ")))
    }
}

/// A longer line is no help under a message; in bytes.
const LONGEST_SNIPPET: usize = 160;

/// Such lines are not repeated: faults go to terminals and logs.
fn may_hold_a_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let address_with_password = line.contains("://") && line.contains('@');
    address_with_password
        || ["token", "secret", "password", "authorization", "key"].iter().any(|word| line.contains(word))
}

/// Says what serde says in the words of people who write files: keys and values, not fields and variants.
pub fn plain_words(message: &str) -> String {
    if let Some((key, known)) = message
        .strip_prefix("unexpected keys in table: ")
        .and_then(|rest| rest.split_once(", available keys: "))
    {
        return format!("unknown key `{key}`; expected {}", one_of(known.split(", ")));
    }
    SERDE_TO_PEOPLE.iter().fold(message.to_owned(), |said, (from, to)| said.replace(from, to))
}

const SERDE_TO_PEOPLE: [(&str, &str); 14] = [
    ("unknown field", "unknown key"),
    ("missing field", "missing key"),
    ("duplicate field", "duplicate key"),
    ("unknown variant", "unknown value"),
    (", expected", "; expected"),
    ("invalid u16", "expected u16"),
    ("invalid u32", "expected u32"),
    ("invalid u64", "expected u64"),
    ("expected u16", "expected a whole number from 0 to 65535"),
    ("expected u32", "expected a whole number"),
    ("expected u64", "expected a whole number"),
    ("expected usize", "expected a whole number"),
    ("expected string scalar", "expected text"),
    ("a string", "text"),
];

/// What is allowed, as a list for people: one of `a`, `b`, `c`.
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [only] => only.clone(),
        all => format!("one of {}", all.join(", ")),
    }
}

/// What there is, as a list for people: `a`, `b` and `c`.
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => "none".into(),
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}
