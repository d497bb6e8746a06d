//! `runhold token`: makes, lists and takes back bearer tokens, beside a running server or without one.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a terminal")]

use std::path::Path;
use std::process::ExitCode;

use crate::access::{AccessError, Role, TokenFile};
use crate::clock::{Clock, WallClock};
use crate::domain::id::Owner;
use crate::domain::time::Timestamp;

/// One day, in the unit of [`Timestamp`].
const DAY_MICROS: u64 = 24 * 60 * 60 * 1_000_000;

/// Makes a token and prints it, alone on standard output, so that it can be piped.
pub fn new(data: &Path, name: &str, owner: Owner, role: Role, expires_days: Option<u64>) -> ExitCode {
    let now = WallClock::default().now();
    let expires = expires_days.map(|days| Timestamp(now.0.saturating_add(days.saturating_mul(DAY_MICROS))));
    done(TokenFile::in_folder(data).create_as(role, name, owner, (now, expires)).map(|token| {
        println!("{}", token.reveal());
        eprintln!("This token is shown once; keep it.");
    }))
}

/// Prints all tokens, one a line: name, owner, end, state, when it was made; and the role of one that is no admin's.
pub fn list(data: &Path) -> ExitCode {
    let now = WallClock::default().now();
    done(TokenFile::in_folder(data).list().map(|tokens| {
        for token in tokens {
            let state = match (token.revoked, token.expires) {
                (Some(at), _) => format!("revoked {at}"),
                (None, Some(at)) if at <= now => format!("expired {at}"),
                (None, Some(at)) => format!("until {at}"),
                (None, None) => "valid".into(),
            };
            // What a key is called came over the network: a terminal sees it escaped.
            let key =
                token.key.map_or_else(String::new, |key| format!(" as {:?} with {}", key.label, key.made_by));
            let role = if token.role == Role::Admin { "" } else { "\tmember" };
            println!(
                "{}\t{}\t…{}\t{state}\tmade {}{key}{role}",
                token.name, token.owner, token.ends_with, token.created
            );
        }
    }))
}

/// Takes a token back.
pub fn revoke(data: &Path, name: &str) -> ExitCode {
    let now = WallClock::default().now();
    done(TokenFile::in_folder(data).revoke(name, now))
}

fn done(result: Result<(), AccessError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
