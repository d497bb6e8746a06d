//! Several clients at work, and a book of what they were told.

pub(crate) mod book;
pub(crate) mod check;
mod client;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use self::book::Book;
pub(crate) use self::client::{Client, Told};
use self::writer::Writer;
use crate::dice::Dice;
use crate::program::Program;

/// Clients at the same time.
const WRITERS: u64 = 6;

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writers: JoinSet<()>,
}

impl Load {
    /// Sets them to work. `patient` ones go on when they are refused with 503 or 507.
    pub(crate) fn begin(program: &Program, book: &Arc<Book>, dice: &mut Dice, patient: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        let round = book.next_round();
        for number in 0..WRITERS {
            let writer = Writer {
                client: Client::new(program, patient),
                book: Arc::clone(book),
                dice: Dice::new(dice.below(u64::MAX)),
                name: format!("{round}-{number}"),
                stop: Arc::clone(&stop),
            };
            writers.spawn(writer.work());
        }
        Self { stop, writers }
    }

    /// Waits until each has finished what it is at, or was cut off.
    pub(crate) async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.writers.join_next().await {
            done.unwrap();
        }
    }
}
