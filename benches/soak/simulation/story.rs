//! What happened in a seed, told by those it happened to; kept only when somebody wants to know.
//!
//! Each teller has lines of its own: in which order two watchers are woken is nobody's promise, and so no part of
//! what must come back with the seed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

/// Who tells: a client, a watcher, the disk.
pub(super) type Teller = String;

/// Lines by teller, each with a number that orders them all for a reader.
#[derive(Default)]
pub(super) struct Story {
    kept: bool,
    lines: Mutex<BTreeMap<Teller, Vec<Line>>>,
}

struct Line {
    number: u64,
    text: String,
}

impl Story {
    pub(super) fn new(kept: bool) -> Self {
        Self { kept, lines: Mutex::default() }
    }

    /// Adds a line, made only if it is kept.
    pub(super) fn tell(&self, teller: &str, line: impl FnOnce() -> String) {
        if !self.kept {
            return;
        }
        let text = line();
        let mut lines = self.lines.lock().unwrap();
        let number = lines.values().map(|lines| lines.len() as u64).sum();
        lines.entry(teller.to_owned()).or_default().push(Line { number, text });
    }

    /// A digest of every teller's lines.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (teller, lines) in &*self.lines.lock().unwrap() {
            digest.update(teller);
            lines.iter().for_each(|line| digest.update(&line.text));
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Everything, in the order it was told.
    pub(super) fn text(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let mut all: Vec<_> = lines
            .iter()
            .flat_map(|(teller, lines)| lines.iter().map(move |line| (line.number, teller, &line.text)))
            .collect();
        all.sort();
        all.into_iter().map(|(_, teller, text)| format!("{teller:>10}  {text}")).collect()
    }
}
