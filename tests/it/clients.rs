//! The surfaces are judged by the Python clients their makers publish, and the tools by MCP's own: unmodified, two
//! releases of each, over the network.

use std::path::Path;
use std::process::Command;

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
