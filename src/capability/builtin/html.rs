//! HTML as text or Markdown a model can read. Not a browser: tags go, words and lines stay. Linear in its input.

/// Elements whose content is not for reading.
const HIDDEN: [&str; 6] = ["script", "style", "noscript", "template", "svg", "iframe"];
/// Elements that stand within a line; all others begin a new one.
const INLINE: [&str; 22] = [
    "a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "img", "kbd", "label", "mark", "q", "s",
    "small", "span", "strong", "sub", "sup", "u", "var",
];

/// The text of a page.
pub(super) fn text(html: &str) -> String {
    read(html, Page::default())
}

/// The page as Markdown: headings, lists, links, code and emphasis stay.
pub(super) fn markdown(html: &str) -> String {
    read(html, Page { marks: Some(Marks::default()), ..Page::default() })
}

fn read(html: &str, mut page: Page) -> String {
    let lower = html.to_ascii_lowercase();
    let mut at = 0;
    while let Some(found) = html.get(at..).and_then(|rest| rest.find('<')) {
        let open = at + found;
        page.words(html.get(at..open).unwrap_or_default());
        match markup(&lower, open) {
            Markup::Tag { name, closing, end } => {
                page.tag(name);
                page.mark(name, closing, html.get(open..end).unwrap_or_default());
                at = end;
            }
            Markup::Unseen { end } => at = end,
            Markup::None => {
                page.words("<");
                at = open + 1;
            }
            Markup::Unclosed => {
                at = html.len();
            }
        }
    }
    page.words(html.get(at..).unwrap_or_default());
    page.text.trim().to_owned()
}

enum Markup<'a> {
    Tag {
        name: &'a str,
        closing: bool,
        end: usize,
    },
    /// A comment, a declaration, or an element that is not for reading, with its content.
    Unseen {
        end: usize,
    },
    /// A `<` of the text.
    None,
    /// It never ends: nothing after it is text.
    Unclosed,
}

fn markup(page: &str, open: usize) -> Markup<'_> {
    let rest = page.get(open + 1..).unwrap_or_default();
    if let Some(comment) = rest.strip_prefix("!--") {
        return comment
            .find("-->")
            .map_or(Markup::Unclosed, |end| Markup::Unseen { end: open + 4 + end + 3 });
    }
    let closing = rest.starts_with('/');
    let inner = rest.strip_prefix('/').unwrap_or(rest);
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '!' | '?')) {
        return Markup::None;
    }
    let Some(end) = tag_end(rest).map(|end| open + 1 + end + 1) else { return Markup::Unclosed };
    let length = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
    let name = inner.get(..length).unwrap_or_default();
    if closing || !HIDDEN.contains(&name) {
        return if name.is_empty() { Markup::Unseen { end } } else { Markup::Tag { name, closing, end } };
    }
    let close = page.get(end..).and_then(|content| content.find(&format!("</{name}")));
    close.map_or(Markup::Unclosed, |close| Markup::Unseen { end: end + close })
}

/// Where the `>` of a tag is; those in quoted attributes do not count.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.bytes().position(|byte| {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
        quote.is_none() && byte == b'>'
    })
}

/// Text so far: white space is one space, or one or two line breaks.
#[derive(Default)]
struct Page {
    text: String,
    gap: Gap,
    /// Of Markdown.
    marks: Option<Marks>,
}

/// What Markdown has around words.
#[derive(Default)]
struct Marks {
    /// To be written before the next word.
    pending: String,
    /// Where the links lead that are open.
    links: Vec<Option<String>>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

impl Page {
    fn words(&mut self, raw: &str) {
        let decoded = decoded(raw);
        for (index, word) in decoded.split(|c: char| c.is_whitespace()).enumerate() {
            if index > 0 {
                self.gap = self.gap.max(Gap::Space);
            }
            if !word.is_empty() {
                self.break_off();
                self.text.push_str(word);
            }
        }
    }

    fn tag(&mut self, name: &str) {
        let gap = match name {
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "table" | "pre" | "title" => {
                Gap::Paragraph
            }
            "td" | "th" => Gap::Space,
            name if INLINE.contains(&name) => Gap::None,
            _ => Gap::Line,
        };
        self.gap = self.gap.max(gap);
    }

    /// Writes what Markdown has for this tag.
    fn mark(&mut self, name: &str, closing: bool, tag: &str) {
        let Some(marks) = &mut self.marks else { return };
        let around = match name {
            "b" | "strong" => "**",
            "i" | "em" => "*",
            "code" | "kbd" => "`",
            _ => "",
        };
        if !around.is_empty() {
            return marks.around(around, closing, &mut self.text);
        }
        match (name, closing) {
            ("h1", false) => marks.pending.push_str("# "),
            ("h2", false) => marks.pending.push_str("## "),
            ("h3", false) => marks.pending.push_str("### "),
            ("h4" | "h5" | "h6", false) => marks.pending.push_str("#### "),
            ("li", false) => marks.pending.push_str("- "),
            ("h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "li", true) => marks.pending.clear(),
            ("a", false) => {
                let href = attribute(tag, "href").filter(|href| !href.starts_with("javascript:"));
                if href.is_some() {
                    marks.pending.push('[');
                }
                marks.links.push(href);
            }
            ("a", true) => {
                if let Some(Some(href)) = marks.links.pop() {
                    if marks.pending.ends_with('[') {
                        marks.pending.pop();
                    } else {
                        self.text.push_str(&format!("]({href})"));
                    }
                }
            }
            _ => {}
        }
    }

    fn break_off(&mut self) {
        let gap = std::mem::take(&mut self.gap);
        if !self.text.is_empty() {
            self.text.push_str(match gap {
                Gap::None => "",
                Gap::Space => " ",
                Gap::Line => "\n",
                Gap::Paragraph => "\n\n",
            });
        }
        if let Some(marks) = &mut self.marks {
            self.text.push_str(&std::mem::take(&mut marks.pending));
        }
    }
}

impl Marks {
    /// A mark on both sides of words; none where there are no words.
    fn around(&mut self, mark: &str, closing: bool, text: &mut String) {
        if !closing {
            self.pending.push_str(mark);
        } else if self.pending.ends_with(mark) {
            self.pending.truncate(self.pending.len() - mark.len());
        } else {
            text.push_str(mark);
        }
    }
}

/// The value of an attribute in a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!(" {name}="))? + name.len() + 2;
    let rest = tag.get(at..)?;
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest.get(1..)?.split(quote).next()?,
        _ => rest.split(|c: char| c.is_whitespace() || c == '>').next()?,
    };
    // A link is one word, whatever the page says.
    let value: String = decoded(value).split_whitespace().collect();
    (!value.is_empty()).then_some(value)
}

/// Resolves character references: the common names, and all numbers.
fn decoded(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let end = after.bytes().take(12).position(|byte| byte == b';');
        match end.and_then(|end| Some((reference(after.get(..end)?)?, after.get(end + 1..)?))) {
            Some((character, after)) => {
                text.push(character);
                rest = after;
            }
            None => {
                text.push('&');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        "bull" => '•',
        "middot" => '·',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "euro" => '€',
        "pound" => '£',
        "deg" => '°',
        "times" => '×',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{markdown, text};

    #[test]
    fn a_page_is_read_without_its_machinery() {
        let page = "<!DOCTYPE html><html><head><title>A &amp; B</title><style>p > a {}</style>\
            <script>if (a < b) { \"</p>\" }</script></head><body><!-- <p>no</p> --><h1>Hello</h1>\
            <p>One <b>bo</b>ld&nbsp;word,\n  1 < 2 &#8364;&#x20AC; &bogus; <a title=\">\">link</a></p>\
            <ul><li>x<li>y</ul><table><tr><td>1</td><td>2</td></tr></table></body></html>";
        assert_eq!(text(page), "A & B\n\nHello\n\nOne bold word, 1 < 2 €€ &bogus; link\n\nx\ny\n\n1 2");
    }

    #[test]
    fn what_never_ends_hides_the_rest_and_breaks_nothing() {
        let pages = ["a<script>b", "a<!-- b", "a<b c=\">", "a<", "a</", "a&", "ä<Ä>ß", ""];
        assert_eq!(pages.map(text), ["a", "a", "a", "a<", "a</", "a&", "ä<Ä>ß", ""].map(String::from));
    }

    #[test]
    fn markdown_keeps_headings_lists_links_code_and_emphasis() {
        let page = "<h1>A <em>b</em></h1><p>See <a class=x href='/y?a=1&amp;b=2'>this <b>one</b></a>, \
            <a href=\"javascript:x\">not</a> <b></b>this: <code>x = 1</code>.</p><ul><li>one</li><li></li><li>two</ul>";
        let read = "# A *b*\n\nSee [this **one**](/y?a=1&b=2), not this: `x = 1`.\n\n- one\n- two";
        assert_eq!(markdown(page), read);
    }
}
