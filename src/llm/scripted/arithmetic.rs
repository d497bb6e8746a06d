//! Sums in a user's message, worked out one operation at a time by whoever has tools for it.

use serde_json::{Number, Value, json};

use super::scene::Scene;
use super::script::Call;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Operation {
    fn tool(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
        }
    }

    /// As it stands between two numbers.
    fn between(word: &str) -> Option<Self> {
        match word {
            "+" | "plus" => Some(Self::Add),
            "-" | "−" | "minus" => Some(Self::Subtract),
            "*" | "×" | "x" | "times" => Some(Self::Multiply),
            "/" | "÷" | "divided" => Some(Self::Divide),
            _ => None,
        }
    }

    /// As it stands before two numbers.
    fn before(word: &str) -> Option<Self> {
        [Self::Add, Self::Subtract, Self::Multiply, Self::Divide].into_iter().find(|one| one.tool() == word)
    }

    fn binds_tighter(self) -> bool {
        matches!(self, Self::Multiply | Self::Divide)
    }
}

/// Numbers with operations between them.
#[derive(Debug, Clone, PartialEq)]
struct Sum {
    first: Number,
    rest: Vec<(Operation, Number)>,
}

/// The next calls for all sums of the message; none once all are worked out, or cannot be.
pub(super) fn calls(scene: &Scene<'_>) -> Vec<Call> {
    sums(scene.text).into_iter().filter_map(|sum| next_call(sum, scene)).collect()
}

/// Puts the results known so far in their places, until an operation is left that was not done yet.
fn next_call(mut sum: Sum, scene: &Scene<'_>) -> Option<Call> {
    loop {
        let tight = sum.rest.iter().position(|(operation, _)| operation.binds_tighter());
        let place = tight.unwrap_or(0);
        let (operation, right) = sum.rest.get(place)?.clone();
        let left =
            place.checked_sub(1).and_then(|before| sum.rest.get(before)).map_or(&sum.first, |(_, left)| left);
        let arguments = json!({"a": left, "b": right});
        scene.tool(operation.tool())?;
        let Some(done) = scene.result(operation.tool(), &arguments) else {
            return Some(Call { name: operation.tool().into(), arguments });
        };
        let result = number(&outcome(done.content)?)?;
        sum.rest.remove(place);
        match place.checked_sub(1).and_then(|before| sum.rest.get_mut(before)) {
            Some((_, left)) => *left = result,
            None => sum.first = result,
        }
    }
}

/// The number that came of an operation: the answer itself, or its `result`.
pub(super) fn outcome(told: &str) -> Option<String> {
    let told: Value = serde_json::from_str(told.trim()).ok()?;
    Some(told.get("result").unwrap_or(&told).to_string())
}

/// `6 times 7`, for people; `None` if the call is no operation.
pub(super) fn in_words(tool: &str, arguments: &crate::domain::Object) -> Option<String> {
    let word = match Operation::before(tool)? {
        Operation::Add => "plus",
        Operation::Subtract => "minus",
        Operation::Multiply => "times",
        Operation::Divide => "divided by",
    };
    let number = |name| arguments.get(name).filter(|value| value.is_number());
    Some(format!("{} {word} {}", number("a")?, number("b")?))
}

fn sums(text: &str) -> Vec<Sum> {
    let words = words(text);
    let mut found = Vec::new();
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let (sum, used) = sum_at(rest);
        found.extend(sum);
        rest = rest.get(used..).unwrap_or_default();
    }
    found
}

/// The sum these words begin with, and how many of them it takes.
fn sum_at(words: &[String]) -> (Option<Sum>, usize) {
    let word = |place: usize| words.get(place).map(String::as_str).unwrap_or_default();
    if let Some(operation) = Operation::before(word(0)) {
        let joined = matches!(word(2), "and" | "by" | "to" | "from" | "with");
        if let (Some(one), true, Some(two)) = (number(word(1)), joined, number(word(3))) {
            // `subtract 3 from 10` is 10 - 3; for adding, the order does not matter.
            let (first, second) = if word(2) == "from" { (two, one) } else { (one, two) };
            return (Some(Sum { first, rest: vec![(operation, second)] }), 4);
        }
    }
    let Some(first) = number(word(0)) else { return (None, 1) };
    let (mut rest, mut used) = (Vec::new(), 1);
    while let Some(operation) = Operation::between(word(used)) {
        let by = usize::from(word(used + 1) == "by");
        let Some(next) = number(word(used + 1 + by)) else { break };
        rest.push((operation, next));
        used += 2 + by;
    }
    if rest.is_empty() { (None, 1) } else { (Some(Sum { first, rest }), used) }
}

/// Words and numbers in lower case, without the punctuation around them. Signs that also stand in dates and paths
/// count only between spaces.
fn words(text: &str) -> Vec<String> {
    let spaced = text.to_lowercase().replace('*', " * ").replace('+', " + ").replace('×', " × ");
    let bare = |word: &str| {
        let word = word.trim_end_matches(['.', ',', '?', '!', ';', ':', ')', '=']);
        word.trim_start_matches(['(', '"']).to_owned()
    };
    spaced.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect()
}

/// A number, whole where it can be: 42, not 42.0.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |sum: Sum| {
            let rest = sum.rest.iter().map(|(operation, number)| format!(" {} {number}", operation.tool()));
            rest.fold(sum.first.to_string(), |text, more| text + &more)
        };
        sums(text).into_iter().map(show).collect()
    }

    #[test]
    fn sums_are_found_in_signs_and_in_words() {
        assert_eq!(shown("What is 12 * 7?"), ["12 multiply 7"]);
        assert_eq!(shown("12*7, and 6 times 7."), ["12 multiply 7", "6 multiply 7"]);
        assert_eq!(shown("What is 1024 / 32 + 5?"), ["1024 divide 32 add 5"]);
        assert_eq!(shown("10 divided by 4 minus 0.5"), ["10 divide 4 subtract 0.5"]);
        assert_eq!(shown("Add 2 and 3"), ["2 add 3"]);
        assert_eq!(shown("Please subtract 3 from -10!"), ["-10 subtract 3"]);
    }

    #[test]
    fn dates_paths_and_lonely_numbers_are_no_sums() {
        assert_eq!(shown("On 2024-05-06, in 7 days, at http://a.b/1/2, 3 - see 4"), Vec::<String>::new());
    }
}
