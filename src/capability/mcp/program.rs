//! A server that is a program of this machine: started in a process group of its own, of which nothing outlives the
//! connection.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use crate::capability::process::{Group, PASSED_ON};

/// How long a program may take to end by itself once nobody listens.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long its last words may take to be read once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts a program. It is killed, with all it started, when `end` is cancelled; and when it ends by itself, `end` is.
pub(super) fn start(
    command: &[String],
    directory: &Path,
    environment: &[String],
    end: CancellationToken,
) -> Result<(ChildStdout, ChildStdin), String> {
    let [program, arguments @ ..] = command else { return Err("`command` names no program".into()) };
    // Made absolute, because a relative program would be looked up after the change of directory.
    let directory = std::path::absolute(directory).map_err(|_| "the directory must not be empty")?;
    let path = if program.contains('/') { directory.join(program) } else { program.into() };
    let mut command = Command::new(path);
    command.args(arguments).current_dir(&directory).env_clear();
    let names = PASSED_ON.iter().copied().chain(environment.iter().map(String::as_str));
    command.envs(names.filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|error| format!("the program could not be started: {}", error.kind()))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the program could not be spoken to".into());
    };
    tokio::spawn(keep(child, end));
    Ok((stdout, stdin))
}

/// Stays with a program to its end.
async fn keep(mut child: Child, end: CancellationToken) {
    let group = Group::of(&child);
    let said = tokio::spawn(overheard(child.stderr.take()));
    tokio::select! {
        _ = child.wait() => {
            drop(group);
            tokio::time::sleep(LAST_WORDS).await;
        }
        () = end.cancelled() => {
            // It sees its standard input end; one that does not care is not asked again.
            let _ = tokio::time::timeout(FAREWELL, child.wait()).await;
            drop(group);
            let _ = child.wait().await;
        }
    }
    said.abort();
    end.cancel();
}

/// What a server tells people goes to the log, for those who look for it.
async fn overheard(stderr: Option<impl AsyncRead + Unpin>) {
    let Some(mut stderr) = stderr else { return };
    let mut buffer = vec![0; 2048];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let text = String::from_utf8_lossy(buffer.get(..read).unwrap_or_default());
        tracing::debug!("an MCP server says: {}", text.trim_end());
    }
}
