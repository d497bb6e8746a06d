//! The surfaces are judged by the clients others made for them, unmodified and over the network: Agno's, Everruns' and
//! MCP's Python clients, two releases of each, and Everruns' Rust client.

use std::path::Path;
use std::process::Command;

use crate::harness::server::{Setup, TOKEN};

/// `tests/clients/run` says what it needs and does; this hands it the binary of this build.
#[test]
fn the_makers_own_clients_work_unchanged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/clients/run"))
        .env("RUNHOLD_BIN", env!("CARGO_BIN_EXE_runhold"))
        .output()
        .expect("tests/clients/run starts: it needs python3 with venv");

    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// It is a package of its own with a lock file of its own: its first build takes about a minute, later ones nothing.
#[tokio::test(flavor = "multi_thread")]
async fn everruns_own_rust_client_works_unchanged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = Setup::default()
        .config("[providers.scripted]\nkind = \"scripted\"\ndelay_ms = 0")
        .agent("assistant-file", "---\n---\nYou are a helpful assistant.\n")
        .start()
        .await;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root.join("target"), Into::into);
    let mut client = Command::new(cargo);
    client
        .args(["run", "--quiet", "--locked", "--manifest-path"])
        .arg(root.join("tests/clients/everruns/rust/Cargo.toml"))
        .env("CARGO_TARGET_DIR", target.join("clients/everruns-rust"))
        .env("EVERRUNS_API_URL", server.url())
        .env("EVERRUNS_API_KEY", TOKEN)
        .env("EVERRUNS_AGENT_URL", format!("{}/v1/channels/assistant-file", server.url()))
        .env("EVERRUNS_AGENT_KEY", TOKEN);
    let output = tokio::task::spawn_blocking(move || client.output()).await.unwrap().expect("cargo starts");

    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
