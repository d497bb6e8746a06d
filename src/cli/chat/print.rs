//! What is printed of an entry. Runs below the one at the top are set in, and say whose they are.
#![expect(clippy::print_stdout, reason = "a command speaks to a terminal")]

use super::heard::Heard;
use crate::domain::fact::{Entry, Fact, Outcome, Piece};
use crate::domain::spec::Spec;
use crate::domain::step::{Choice, StepOutput};
use crate::domain::tool::ToolResult;
use crate::domain::view::RunView;

const CYAN: u8 = 36;
const RED: u8 = 31;
const YELLOW: u8 = 33;
const GREEN: u8 = 32;
const DIM: u8 = 2;

/// An entry that was just taken in.
pub(super) fn entry(entry: &Entry, heard: &mut Heard) {
    let is_root = entry.run == heard.root;
    if is_root && let Fact::Said { pieces } = &entry.fact {
        pieces.iter().for_each(piece);
        heard.is_mid_line = pieces.last().is_some_and(|piece| !ends_line(piece));
        return;
    }
    if is_told(&entry.fact) && std::mem::take(&mut heard.is_mid_line) {
        println!();
    }
    if !is_root {
        speak(entry, heard);
    }
    let Some(view) = heard.view(entry.run) else { return };
    let start = margin(heard, view);
    let line = |colour: u8, text: &str| println!("{start}\x1b[{colour}m{text}\x1b[0m");
    match &entry.fact {
        Fact::ToolStarted { .. } | Fact::ToolFinished { .. } | Fact::ToolDoubted { .. } => {
            tools(view, &entry.fact, line);
        }
        Fact::StepStarted { .. }
        | Fact::StepDecided { .. }
        | Fact::StepFailed { .. }
        | Fact::StepFinished { .. } => step(&entry.fact, line),
        Fact::ModelFailed { failure, .. } => line(RED, &format!("! {}", failure.message)),
        Fact::RunFinished { outcome, .. } => finished(view, outcome, is_root, line),
        Fact::Steered { input, .. } => line(GREEN, &format!("> {}", input.text)),
        Fact::Forked { .. }
        | Fact::RunStarted(_)
        | Fact::Said { .. }
        | Fact::Lost { .. }
        | Fact::RunPrepared { .. }
        | Fact::ModelCalled { .. }
        | Fact::ModelAnswered { .. }
        | Fact::Paused { .. }
        | Fact::Resumed { .. } => {}
    }
}

/// Whether anything is printed of it, in lines of their own.
fn is_told(fact: &Fact) -> bool {
    !matches!(
        fact,
        Fact::Forked { .. }
            | Fact::RunStarted(_)
            | Fact::RunPrepared { .. }
            | Fact::ModelCalled { .. }
            | Fact::ModelAnswered { .. }
            | Fact::Lost { .. }
            | Fact::Resumed { .. }
    )
}

fn ends_line(piece: &Piece) -> bool {
    let (Piece::Text(text) | Piece::Reasoning(text)) = piece;
    text.ends_with('\n')
}

/// Nothing for the run at the top; for those below it a space a level, and the name.
fn margin(heard: &Heard, view: &RunView) -> String {
    match heard.depth(view.run) {
        0 => String::new(),
        depth => format!("{}{} ", "  ".repeat(depth), view.spec.id()),
    }
}

/// Several members may speak at once, so that what they say is shown line by line.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other facts are told elsewhere")]
fn speak(entry: &Entry, heard: &mut Heard) {
    let mut unsaid = heard.unsaid.remove(&entry.run).unwrap_or_default();
    let is_over = match &entry.fact {
        Fact::Said { pieces } => {
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Reasoning(_) => String::new(),
            };
            unsaid.extend(pieces.iter().map(text));
            false
        }
        Fact::ModelAnswered { .. } | Fact::ModelFailed { .. } | Fact::RunFinished { .. } => true,
        _ => false,
    };
    let whole = if is_over { unsaid.len() } else { unsaid.rfind('\n').map_or(0, |end| end + 1) };
    let rest = unsaid.split_off(whole);
    if let Some(view) = heard.view(entry.run) {
        let start = margin(heard, view);
        unsaid.lines().filter(|line| !line.trim().is_empty()).for_each(|line| println!("{start}│ {line}"));
    }
    heard.unsaid.insert(entry.run, rest);
}

fn piece(piece: &Piece) {
    match piece {
        Piece::Text(text) => print!("{text}"),
        Piece::Reasoning(text) => print!("\x1b[{DIM}m{text}\x1b[0m"),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other facts are told elsewhere")]
fn tools(view: &RunView, fact: &Fact, line: impl Fn(u8, &str)) {
    let call = |id| view.call(id).map(|call| &call.call);
    match fact {
        Fact::ToolStarted { call: id } => {
            if let Some(call) = call(id) {
                line(CYAN, &format!("· {} {}", call.name, call.arguments));
            }
        }
        Fact::ToolFinished { call: id, result } => {
            let name = call(id).map_or("?", |call| call.name.as_str());
            line(CYAN, &format!("· {name} → {}", short(result)));
        }
        Fact::ToolDoubted { calls } => {
            for call in calls.iter().filter_map(call) {
                line(YELLOW, &format!("? nobody knows whether {} took effect", call.name));
            }
        }
        _ => {}
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other facts are told elsewhere")]
fn step(fact: &Fact, line: impl Fn(u8, &str)) {
    match fact {
        Fact::StepStarted { step, attempt: 1 } => line(CYAN, &format!("▸ {step}")),
        Fact::StepStarted { step, attempt } => line(CYAN, &format!("▸ {step} (try {attempt})")),
        Fact::StepDecided { step, choice } => line(CYAN, &format!("▸ {step}: {}", chosen(choice))),
        Fact::StepFailed { step, failure, .. } => line(RED, &format!("! {step}: {}", failure.message)),
        Fact::StepFinished { step, output: StepOutput { skipped: true, .. }, .. } => {
            line(DIM, &format!("▸ {step} is passed over"));
        }
        _ => {}
    }
}

fn chosen(choice: &Choice) -> String {
    match choice {
        Choice::Branch(true) => "holds".into(),
        Choice::Branch(false) => "does not hold".into(),
        Choice::Routes(routes) => routes.join(", "),
        Choice::Again(true) => "once more".into(),
        Choice::Again(false) => "done".into(),
    }
}

fn finished(view: &RunView, outcome: &Outcome, is_root: bool, line: impl Fn(u8, &str)) {
    // A workflow says nothing itself.
    if is_root && matches!(view.spec.as_ref(), Spec::Workflow(_)) {
        println!("{}", view.answer());
    }
    match outcome {
        Outcome::Completed => {}
        Outcome::Cancelled { reason } => line(RED, &format!("({reason})")),
        Outcome::Failed(failure) => line(RED, &format!("{}: {}", failure.code, failure.message)),
    }
}

fn short(result: &ToolResult) -> String {
    let line = result.content.trim().replace('\n', " ");
    let cut = line.floor_char_boundary(160);
    line.get(..cut).unwrap_or_default().to_owned()
}
