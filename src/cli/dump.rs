//! `runhold export`, `import` and `verify`: the store as a whole, while no server has it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::complain;
use crate::config::Config;
use crate::store::dump;

/// What is in no exported file.
const TOKENS: &str = "tokens.json is not part of it: it holds who may come in, not what was said. Copy it yourself, \
                      or make new tokens";

/// Writes the store to a file, or to stdout for `-`.
pub(super) fn export(config: &Config, file: &Path) -> ExitCode {
    quiet();
    let done = if is_dash(file) {
        export_to(config, &mut BufWriter::new(io::stdout().lock()))
    } else {
        private(file).with_context(|| format!("cannot create {}", file.display())).and_then(|created| {
            let seen = export_to(config, &mut BufWriter::new(&created))?;
            created.sync_all().with_context(|| format!("cannot write {}", file.display()))?;
            Ok(seen)
        })
    };
    match done {
        Ok(seen) => {
            say(&format!("exported {}; {TOKENS}", seen.readable));
            finish(&seen, "are not in the file")
        }
        Err(error) => complain(&error),
    }
}

/// What people said is for its owner alone, as the data folder is.
fn private(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)
}

fn export_to(config: &Config, out: &mut dyn Write) -> anyhow::Result<dump::Seen> {
    Ok(dump::export(&config.store, &config.data, out, &mut |what| say(&format!("damaged: {what}")))?)
}

/// Fills an empty data folder from a file, or from stdin for `-`.
pub(super) fn import(config: &Config, file: &Path) -> ExitCode {
    quiet();
    let done = if is_dash(file) {
        import_from(config, &mut io::stdin().lock())
    } else {
        File::open(file)
            .with_context(|| format!("cannot open {}", file.display()))
            .and_then(|opened| import_from(config, &mut BufReader::new(opened)))
    };
    match done {
        Ok(seen) => {
            if seen.damaged > 0 {
                say(&format!("the store it came from was damaged: {} things are not in it", seen.damaged));
            }
            say(&format!("imported {} into {}; {TOKENS}", seen.readable, config.data.display()));
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error),
    }
}

fn import_from(config: &Config, input: &mut dyn io::BufRead) -> anyhow::Result<dump::Seen> {
    Ok(dump::import(&config.store, &config.data, input)?)
}

/// Reads everything and says what is damaged.
pub(super) fn verify(config: &Config) -> ExitCode {
    quiet();
    let tell = &mut |what: &str| {
        let _gone = writeln!(io::stdout(), "damaged: {what}");
    };
    match dump::verify(&config.store, &config.data, tell) {
        Ok(seen) => {
            let state = if seen.damaged == 0 { "OK: " } else { "still readable: " };
            let _gone = writeln!(io::stdout(), "{state}{} in {}", seen.readable, config.data.display());
            finish(&seen, "are damaged")
        }
        Err(error) => complain(&error.into()),
    }
}

fn finish(seen: &dump::Seen, what: &str) -> ExitCode {
    if seen.damaged == 0 {
        return ExitCode::SUCCESS;
    }
    say(&format!("{} things {what}", seen.damaged));
    ExitCode::FAILURE
}

/// An engine that meets damage may panic. That becomes an error and is told as one.
fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}

fn is_dash(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn say(line: &str) {
    let _gone = writeln!(io::stderr(), "{line}");
}
