//! What a process holds: memory and open files.

use std::fs;

/// Of one process, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vitals {
    /// Memory in use, in KiB.
    pub(crate) kib: u64,
    /// Open files, sockets too.
    pub(crate) files: usize,
}

impl Vitals {
    /// Of this process now.
    pub(crate) fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
        Self { kib, files: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() }
    }

    /// Memory in MiB.
    pub(crate) fn mib(self) -> u64 {
        self.kib / 1024
    }
}
