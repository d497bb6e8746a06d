//! The program: hands the command line to [`runhold::cli`]; the only exit code.

fn main() {}
