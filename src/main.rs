//! The program: hands the command line to [`runhold::cli`]; the only exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    runhold::cli::run()
}
