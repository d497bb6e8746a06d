//! Threads that read from an engine that may have to wait for the disk.
//!
//! There are as many as there are, for as long as the store is there. The runtime's own pool would do, but each burst
//! of reads makes it larger for good, and each of its threads has memory that it never gives back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

/// At least so many: waiting for the disk needs no processor.
const LEAST: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// The threads; they end when this is dropped and what was asked for is done.
pub(super) struct Readers {
    jobs: mpsc::Sender<Job>,
}

impl Readers {
    /// Begins them.
    pub(super) fn start() -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        for number in 0..processors.max(LEAST) {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name(format!("reader-{number}")).spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Does this on one of them; `None` if it panicked.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, told) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever asked may have gone.
            let _ = answer.send(read());
        });
        self.jobs.send(job).ok()?;
        told.await.ok()
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a read of the store panicked");
        }
    }
}
