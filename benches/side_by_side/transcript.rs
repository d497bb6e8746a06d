//! What is noticed of a stream while it comes: the first piece, how many there were, and whether it ended well.

use std::time::{Duration, Instant};

use crate::model_server::PIECES;

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Chat completions, as the model server speaks them.
    Chat,
    /// Events of a run, as Runhold speaks them.
    AgentOs,
}

/// Begins every piece of text that the model server sends.
const PIECE: &str = "\"content\":\"word";

/// One stream, as far as it has come.
pub(crate) struct Transcript {
    dialect: Dialect,
    started: Instant,
    first_piece: Option<Duration>,
    pieces: usize,
    /// The last `event:` line announced a piece.
    announced: bool,
    ended: bool,
    partial: Vec<u8>,
}

impl Transcript {
    /// Counts from `started`.
    pub(crate) fn new(dialect: Dialect, started: Instant) -> Self {
        Self {
            dialect,
            started,
            first_piece: None,
            pieces: 0,
            announced: false,
            ended: false,
            partial: Vec::new(),
        }
    }

    /// Reads on; lines may be cut anywhere.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.last() != Some(&b'\n') {
                self.partial.extend_from_slice(line);
            } else if self.partial.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole);
                whole.clear();
                self.partial = whole;
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Ok(line) = std::str::from_utf8(line) else { return };
        match self.dialect {
            Dialect::Chat => {
                self.ended |= line.starts_with("data: [DONE]");
                if line.contains(PIECE) {
                    self.piece();
                }
            }
            Dialect::AgentOs => {
                if let Some(event) = line.strip_prefix("event: ") {
                    self.announced = event.trim_end() == "RunContent";
                    self.ended |= event.trim_end() == "RunCompleted";
                } else if self.announced && line.contains(PIECE) {
                    self.piece();
                }
            }
        }
    }

    fn piece(&mut self) {
        self.pieces += 1;
        self.first_piece.get_or_insert_with(|| self.started.elapsed());
    }

    /// When the first piece was there.
    pub(crate) fn first_piece(&self) -> Option<Duration> {
        self.first_piece
    }

    /// Whether the stream said that it ended well.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// What is wrong with a whole answer, if something is.
    pub(crate) fn fault(&self) -> Option<String> {
        if !self.ended {
            return Some("the stream ended without its last event".into());
        }
        (self.pieces != PIECES).then(|| format!("{} pieces instead of {PIECES}", self.pieces))
    }
}
