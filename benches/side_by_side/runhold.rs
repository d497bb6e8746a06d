//! The program under test, with folders of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::child::{Child, free_address};
use crate::http::{Client, get};
use crate::orders::Workload;

/// What every request shows.
pub(crate) const TOKEN: &str = "side-by-side-0123456789abcdef0123456789abcdef";

/// A server that is not healthy by then never will be.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub(crate) struct Runhold {
    pub(crate) child: Child,
    /// From the start of the process to the first 200 of `/health`.
    pub(crate) healthy_after: Duration,
    binary: PathBuf,
    /// Removed after the child has ended: fields are dropped in this order.
    folder: TempDir,
}

impl Runhold {
    /// Starts the program on a new folder and waits until it is healthy.
    pub(crate) async fn start(binary: &Path, model: SocketAddr) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        write_definitions(folder.path(), model);
        let (child, healthy_after) = launch(binary, folder.path()).await;
        Self { child, healthy_after, binary: binary.into(), folder }
    }

    /// Kills it without a word and starts it again on the same folders.
    pub(crate) async fn restart(self) -> Self {
        let Self { child, binary, folder, .. } = self;
        drop(child);
        let (child, healthy_after) = launch(&binary, folder.path()).await;
        Self { child, healthy_after, binary, folder }
    }
}

/// Starts the program, waits until it is healthy, and tells how long that took.
async fn launch(binary: &Path, folder: &Path) -> (Child, Duration) {
    let address = free_address();
    let started = Instant::now();
    let mut child = spawn(binary, folder, address);
    while !is_healthy(address).await {
        if child.has_ended() || started.elapsed() > PATIENCE {
            let said = fs::read_to_string(folder.join("log")).unwrap_or_default();
            eprintln!("{} did not become healthy; it said:\n{said}", binary.display());
            std::process::exit(2);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (child, started.elapsed())
}

fn spawn(binary: &Path, folder: &Path, address: SocketAddr) -> Child {
    let log = File::create(folder.join("log")).expect("a log");
    let process = Command::new(binary)
        .arg("serve")
        .arg("--config")
        .arg(folder.join("config.toml"))
        .arg("--agents")
        .arg(folder.join("agents"))
        .arg("--data")
        .arg(folder.join("data"))
        .args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()])
        // Variables of whoever measures must not configure what is measured.
        .env_clear()
        .env("RUNHOLD_TOKEN", TOKEN)
        .env("BENCH_KEY", "key")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the same log"))
        .stderr(log)
        .spawn()
        .expect("the server starts");
    Child::listening(process, address)
}

/// Writes the configuration and an agent for each workload.
fn write_definitions(folder: &Path, model: SocketAddr) {
    let config = format!(
        "[providers.bench]\nkind = \"openai\"\nbase_url = \"http://{model}/v1\"\napi_key_env = \"BENCH_KEY\"\n"
    );
    fs::write(folder.join("config.toml"), config).expect("a configuration");
    fs::create_dir(folder.join("agents")).expect("a folder of agents");
    fs::create_dir(folder.join("data")).expect("a folder of data");
    for workload in Workload::ALL {
        let name = workload.name();
        let capabilities = if workload == Workload::Tools { "[test_math]" } else { "[]" };
        let agent = format!(
            "---\nname: {name}\nmodel: bench/{name}\ncapabilities: {capabilities}\nhistory_runs: 3\n---\n\
             You are measured.\n"
        );
        fs::write(folder.join("agents").join(format!("{name}.md")), agent).expect("an agent");
    }
}

async fn is_healthy(address: SocketAddr) -> bool {
    matches!(Client::new(address).fetch(&get("/health", TOKEN)).await, Ok((200, _)))
}
