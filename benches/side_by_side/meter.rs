//! What the kernel counts for a process: CPU time and memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A process by its id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

/// CPU time of a process at one moment.
#[derive(Debug, Clone)]
pub(crate) struct CpuReading {
    /// Nanoseconds of each thread that lives: exact, but blind to threads that have ended.
    threads: BTreeMap<u64, u64>,
    /// User and system time of all threads that ever lived: complete, but coarse.
    total: Duration,
}

/// `/proc` counts in hundredths of a second on every Linux, whatever the kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

impl Process {
    /// CPU time so far, user and system, of all its threads.
    pub(crate) fn cpu(self) -> CpuReading {
        CpuReading { threads: self.thread_times().unwrap_or_default(), total: self.total_time() }
    }

    /// CPU time since an earlier reading.
    pub(crate) fn cpu_since(self, before: &CpuReading) -> Duration {
        let after = self.cpu();
        let exact: u64 = after
            .threads
            .iter()
            .map(|(thread, now)| now.saturating_sub(before.threads.get(thread).copied().unwrap_or(0)))
            .sum();
        let exact = Duration::from_nanos(exact);
        let coarse = after.total.saturating_sub(before.total);
        // Two coarse readings differ from the truth by a few ticks; more than that was spent by ended threads.
        if coarse > exact + TICK * 4 { coarse } else { exact }
    }

    /// Memory in use, in KiB: pages in RAM, shared ones included.
    pub(crate) fn rss_kib(self) -> f64 {
        let status = self.read("status");
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
            .expect("a living process has a size")
    }

    fn thread_times(self) -> std::io::Result<BTreeMap<u64, u64>> {
        let mut times = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let task = task?;
            // A thread may end between the listing and the reading.
            let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let on_cpu = stat.split(' ').next().and_then(|first| first.parse().ok());
            let id = task.file_name().to_str().and_then(|name| name.parse().ok());
            if let (Some(id), Some(on_cpu)) = (id, on_cpu) {
                times.insert(id, on_cpu);
            }
        }
        Ok(times)
    }

    fn total_time(self) -> Duration {
        let stat = self.read("stat");
        // The program's name may hold blanks and brackets; what follows the last bracket does not.
        let (_, fields) = stat.rsplit_once(") ").expect("stat names the program in brackets");
        // utime and stime, fields 14 and 15 of the manual; the first one here is field 3.
        let ticks: u32 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        TICK * ticks
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).expect("the process lives")
    }
}
