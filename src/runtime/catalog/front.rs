//! Front matter and body of a Markdown file.

use super::fault::{At, Fault, Source};

/// The two halves of a file.
pub(super) struct Parts<'a> {
    /// YAML: the file's text up to the end of the front matter, so that its lines are the file's.
    pub yaml: &'a str,
    /// The body, without white space around it.
    pub body: &'a str,
    /// Where the body begins, in bytes.
    pub body_start: usize,
}

/// Takes a file apart at its two lines `---`.
pub(super) fn split(source: &Source) -> Result<Parts<'_>, Fault> {
    let text = source.text.as_str();
    let is_rule = |line: &str| line.trim_end() == "---";
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if !is_rule(first) {
        return Err(
            source.fault(At::START, "a file begins with front matter: a line `---`, keys, a line `---`")
        );
    }
    let mut end = first.len();
    let mut says_something = false;
    for line in lines {
        if is_rule(line) {
            let yaml = if says_something { text.get(..end) } else { Some("{}") };
            return Ok(halves(text, yaml.unwrap_or_default(), end + line.len()));
        }
        let content = line.trim();
        says_something |= !content.is_empty() && !content.starts_with('#');
        end += line.len();
    }
    Err(source
        .fault(At::START, "the front matter that begins here has no end: a second line `---` is missing"))
}

fn halves<'a>(text: &'a str, yaml: &'a str, rest: usize) -> Parts<'a> {
    let untrimmed = text.get(rest..).unwrap_or_default();
    let body = untrimmed.trim();
    let body_start = rest + (untrimmed.len() - untrimmed.trim_start().len());
    Parts { yaml, body, body_start }
}
