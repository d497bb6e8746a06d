//! What is printed: absolute numbers as they are measured, then a line for each target.

use std::collections::BTreeMap;

use crate::load::{Figures, Outcomes};

/// Collects targets and failures until all is measured.
#[derive(Default)]
pub(crate) struct Report {
    targets: Vec<Target>,
    /// What went wrong, and how often.
    faults: BTreeMap<String, usize>,
}

/// A number and the highest it should be.
struct Target {
    what: String,
    value: f64,
    limit: f64,
    unit: &'static str,
}

impl Report {
    /// Holds a number to a limit: at most that.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, value: f64, limit: f64, unit: &'static str) {
        self.targets.push(Target { what: what.into(), value, limit, unit });
    }

    /// Remembers failed runs.
    pub(crate) fn failures(&mut self, whose: &str, outcomes: &Outcomes) {
        for fault in &outcomes.faults {
            self.fault(whose, fault);
        }
    }

    /// Remembers something else that failed.
    pub(crate) fn fault(&mut self, whose: &str, fault: &str) {
        *self.faults.entry(format!("{whose}: {fault}")).or_default() += 1;
    }

    pub(crate) fn failed_runs(&self) -> usize {
        self.faults.values().sum()
    }

    /// Prints the targets, and what went wrong.
    pub(crate) fn print(&self) {
        println!("\n== targets");
        for Target { what, value, limit, unit } in &self.targets {
            // Not a number is no success.
            let verdict = if value <= limit { "ok" } else { "MISSED" };
            println!("{what:<62} {value:>9.2} {unit:<4} (at most {limit} {unit}) {verdict}");
        }
        let failed = self.failed_runs();
        let verdict = if failed == 0 { "ok" } else { "MISSED" };
        println!("{:<62} {failed:>9}      (at most 0) {verdict}", "failed");
        for (fault, times) in &self.faults {
            println!("  {times} × {fault}");
        }
    }
}

/// Prints the head of a table of loads.
pub(crate) fn print_loads(title: &str) {
    println!("\n{title}");
    println!(
        "{:<10} {:>11} {:>13} {:>10} {:>10} {:>10} {:>9} {:>7}",
        "", "CPU/run µs", "first ms p50", "p99", "end ms p50", "p99", "runs/s", "failed"
    );
}

/// Prints one line of it.
pub(crate) fn print_load(name: &str, figures: &Figures) {
    let Figures { cpu_us, first_median, first_p99, end_median, end_p99, per_second, failed } = figures;
    println!(
        "{name:<10} {cpu_us:>11.0} {first_median:>13.2} {first_p99:>10.2} {end_median:>10.2} {end_p99:>10.2} \
         {per_second:>9.0} {failed:>7}"
    );
}
