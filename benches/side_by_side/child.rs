//! Processes that end with the benchmark, whatever ends it.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use crate::meter::Process;

/// A process that is killed, by its id, when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) address: SocketAddr,
}

impl Child {
    /// Starts this program again in one of its hidden roles, and waits until it says where it listens.
    pub(crate) fn of_this_program(args: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("its output is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("it says something");
        let port = line.trim().parse().expect("it says its port");
        Self { process, address: local(port) }
    }

    /// Takes over a process that listens, or soon will, at the address.
    pub(crate) fn listening(process: std::process::Child, address: SocketAddr) -> Self {
        Self { process, address }
    }

    /// What the kernel counts for it.
    pub(crate) fn meter(&self) -> Process {
        Process(self.process.id())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about a child that cannot be killed.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The address of a port of this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// An address nobody listens at right now.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind(local(0)).and_then(|listener| listener.local_addr()).expect("a free port")
}

/// For the child's side: says where it listens, and ends the process when the parent is gone.
pub(crate) fn announce(address: SocketAddr) {
    println!("{}", address.port());
    std::thread::spawn(|| {
        // The parent never writes: the pipe ends when the parent does.
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()));
    });
}
