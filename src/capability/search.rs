//! Lines of files that match a pattern. The engine is linear in what it reads, so no pattern can hang it.

use regex::{Regex, RegexBuilder};

use super::files::{FileError, Files};
use crate::domain::file::{FileInfo, FilePath};

/// Most lines that are found.
pub const MAX_LINES: usize = 1000;

/// Longest line that is shown whole, in bytes.
const MAX_LINE_BYTES: usize = 500;

/// A compiled pattern may take so much memory, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// How much is read in one search, in bytes.
const MAX_READ_BYTES: u64 = 64 * 1024 * 1024;

/// What to look for, and where.
pub struct Search {
    pattern: Regex,
    paths: Option<Glob>,
}

/// A line that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its file.
    pub path: FilePath,
    /// Counted from 1.
    pub number: usize,
    /// As it stands there, cut where it is long.
    pub text: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// By path, then by number.
    pub lines: Vec<Line>,
    /// Whether there may be more.
    pub cut: bool,
}

impl Search {
    /// A search for a regular expression, in files whose path matches the glob.
    ///
    /// # Errors
    /// Why it is no pattern.
    pub fn new(pattern: &str, paths: Option<&str>) -> Result<Self, String> {
        let compiled = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build();
        let pattern = compiled.map_err(|error| format!("the pattern is no regular expression: {error}"))?;
        Ok(Self { pattern, paths: paths.map(Glob::new).transpose()? })
    }

    /// Looks through all files. What is no text is passed over.
    ///
    /// # Errors
    /// Files that cannot be read; one that goes away meanwhile is passed over.
    pub async fn run(&self, files: &dyn Files) -> Result<Found, FileError> {
        let mut found = Found::default();
        let mut read = 0_u64;
        for info in files.list(&FilePath::root(), true).await? {
            if !self.concerns(&info) {
                continue;
            }
            read = read.saturating_add(info.size);
            if read > MAX_READ_BYTES {
                found.cut = true;
                break;
            }
            let content = match files.read(&info.path).await {
                Ok((_, content)) => content,
                Err(FileError::Missing(_) | FileError::IsFolder(_)) => continue,
                Err(error) => return Err(error),
            };
            if let Some(text) = text(&content) {
                self.look(&info.path, text, &mut found);
            }
            if found.cut {
                break;
            }
        }
        Ok(found)
    }

    fn concerns(&self, info: &FileInfo) -> bool {
        !info.folder && self.paths.as_ref().is_none_or(|glob| glob.matches(&info.path))
    }

    fn look(&self, path: &FilePath, text: &str, found: &mut Found) {
        for (number, line) in (1..).zip(text.lines()) {
            if !self.pattern.is_match(line) {
                continue;
            }
            if found.lines.len() >= MAX_LINES {
                found.cut = true;
                return;
            }
            let shown = line.get(..line.floor_char_boundary(MAX_LINE_BYTES)).unwrap_or(line);
            found.lines.push(Line { path: path.clone(), number, text: shown.to_owned() });
        }
    }
}

/// A file's bytes as text: none if they are not UTF-8, or hold a NUL among the first 8 KB.
pub fn text(content: &[u8]) -> Option<&str> {
    let head = content.get(..8192).unwrap_or(content);
    if head.contains(&0) { None } else { std::str::from_utf8(content).ok() }
}

/// A pattern of paths: `*` within a name, `**` over names, `?` one character, `{a,b}` one of several. Without a `/` it
/// is about the name alone.
pub struct Glob {
    pattern: Regex,
    of_name: bool,
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(glob: &str) -> Result<Self, String> {
        let glob = glob.trim();
        let glob = glob.strip_prefix("/workspace").filter(|rest| rest.starts_with('/')).unwrap_or(glob);
        let of_name = !glob.contains('/');
        let pattern = format!("^{}$", translated(glob.trim_start_matches("./").trim_start_matches('/')));
        let compiled = RegexBuilder::new(&pattern).size_limit(MAX_PATTERN_BYTES).build();
        let pattern = compiled.map_err(|_| "the path pattern is no glob".to_owned())?;
        Ok(Self { pattern, of_name })
    }

    /// Whether this path is meant.
    pub fn matches(&self, path: &FilePath) -> bool {
        let text = if self.of_name { path.name() } else { path.as_str().trim_start_matches('/') };
        self.pattern.is_match(text)
    }
}

fn translated(glob: &str) -> String {
    let mut pattern = String::with_capacity(glob.len() * 2);
    let mut rest = glob.chars().peekable();
    let mut open = 0_usize;
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let over = if rest.next_if_eq(&'/').is_some() { "(?:.*/)?" } else { ".*" };
                pattern.push_str(over);
            }
            '*' => pattern.push_str("[^/]*"),
            '?' => pattern.push_str("[^/]"),
            '{' => {
                open += 1;
                pattern.push_str("(?:");
            }
            '}' if open > 0 => {
                open -= 1;
                pattern.push(')');
            }
            ',' if open > 0 => pattern.push('|'),
            other => pattern.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn matching<'a>(glob: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let glob = Glob::new(glob).unwrap();
        paths.iter().copied().filter(|path| glob.matches(&FilePath::parse(path).unwrap())).collect()
    }

    #[test]
    fn a_glob_is_about_names_or_about_whole_paths() {
        let paths = ["/a.rs", "/src/b.rs", "/src/deep/c.rs", "/src/d.md", "/x+y.txt"];
        assert_eq!(matching("*.rs", &paths), ["/a.rs", "/src/b.rs", "/src/deep/c.rs"]);
        assert_eq!(matching("/src/*.rs", &paths), ["/src/b.rs"]);
        assert_eq!(matching("src/**/*.{rs,md}", &paths), ["/src/b.rs", "/src/deep/c.rs", "/src/d.md"]);
        assert_eq!(matching("/workspace/src/**", &paths), ["/src/b.rs", "/src/deep/c.rs", "/src/d.md"]);
        assert_eq!(matching("x+?.txt", &paths), ["/x+y.txt"]);
        assert_eq!(Glob::new("{a").map(drop), Err("the path pattern is no glob".into()));
    }

    #[test]
    fn what_holds_a_nul_or_is_no_utf8_is_no_text() {
        assert_eq!(text(b"plain"), Some("plain"));
        assert_eq!(text(b"a\0b"), None);
        assert_eq!(text(b"\xff"), None);
    }
}
