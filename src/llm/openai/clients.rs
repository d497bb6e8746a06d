//! HTTP clients, one a thread: a connection is served by the thread that opened it, and a piece of an answer that
//! has to change threads costs two wake-ups and a switch more than one that does not.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::Resolver;

/// Makes a thread's client when it first asks.
#[derive(Debug)]
pub(super) struct Clients {
    connect: Duration,
    resolver: Option<Resolver>,
    /// As many as there are threads that run runs: those of the HTTP server and of the runtime.
    made: Mutex<HashMap<ThreadId, reqwest::Client>>,
}

impl Clients {
    pub(super) fn new(connect: Duration, resolver: Option<Resolver>) -> Self {
        Self { connect, resolver, made: Mutex::default() }
    }

    /// The client of this thread.
    ///
    /// # Errors
    /// No TLS, no certificates.
    pub(super) fn of_this_thread(&self) -> reqwest::Result<reqwest::Client> {
        let thread = thread::current().id();
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made().get(&thread) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder();
        if let Some(Resolver(resolver)) = &self.resolver {
            // A proxy would find the address itself.
            builder = builder.no_proxy().dns_resolver(resolver.clone());
        }
        let client = builder
            .user_agent(concat!("runhold/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect)
            .build()?;
        made().insert(thread, client.clone());
        Ok(client)
    }
}
