//! Floor 3, the shell that does what the machine decides.
#![expect(
    missing_docs,
    clippy::unused_async,
    unused_variables,
    reason = "stands in until the runtime is merged"
)]

pub mod catalog;
pub mod error;

use std::sync::Arc;

use futures::Stream;

use crate::domain::fact::{Entry, Seq};
use crate::domain::id::{ComponentId, Owner, RunId, SessionId, UserId};
use crate::domain::run::{Command, NewSession, Run, Session, SessionData, SessionPatch, StartRun, Started};
use crate::domain::spec::AgentSpec;
use crate::domain::spec::ComponentKind;
use crate::domain::time::Timestamp;
use crate::domain::tool::ToolSpec;
use crate::domain::view::RunView;
use catalog::Catalog;
pub use error::Error;

/// Everything a surface may ask. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);
struct Inner {
    catalog: Arc<Catalog>,
}

/// A session with what it carries.
#[derive(Debug, Clone)]
pub struct SessionDetail {
    pub session: Session,
    pub data: SessionData,
}

/// Which sessions to list. Unset fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    pub kind: Option<ComponentKind>,
    pub component: Option<ComponentId>,
    pub user: Option<UserId>,
    /// Substring of the title (stored or derived) or of the state's text.
    pub text: Option<String>,
    pub sort: SessionSort,
    pub newest_first: bool,
    pub skip: usize,
    pub limit: usize,
}
#[derive(Debug, Clone, Copy, Default)]
pub enum SessionSort {
    #[default]
    Created,
    Updated,
    Title,
}
pub struct SessionPage {
    pub sessions: Vec<SessionDetail>,
    pub total: u64,
}

impl Runtime {
    /// What can be run.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.0.catalog.clone()
    }
    /// The tools an agent is given, composed from its capabilities and declared tools.
    pub fn tools_of(&self, agent: &AgentSpec) -> Vec<ToolSpec> {
        Vec::new()
    }
    pub fn now(&self) -> Timestamp {
        Timestamp(0)
    }
    /// When the process started.
    pub fn since(&self) -> Timestamp {
        Timestamp(0)
    }

    /// Errors: SessionExists.
    pub async fn create_session(&self, owner: &Owner, new: NewSession) -> Result<SessionDetail, Error> {
        Err(Error::Internal)
    }
    /// Errors: NoSession.
    pub async fn session(&self, owner: &Owner, id: &SessionId) -> Result<SessionDetail, Error> {
        Err(Error::Internal)
    }
    pub async fn sessions(&self, owner: &Owner, filter: SessionFilter) -> Result<SessionPage, Error> {
        Err(Error::Internal)
    }
    /// Errors: NoSession.
    pub async fn change_session(
        &self,
        owner: &Owner,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<SessionDetail, Error> {
        Err(Error::Internal)
    }
    /// Cancels its runs, takes everything away. `user` given: only if the session has that user. Unknown: Ok(()).
    pub async fn delete_session(
        &self,
        owner: &Owner,
        id: &SessionId,
        user: Option<&UserId>,
    ) -> Result<(), Error> {
        Err(Error::Internal)
    }

    /// Accepts a run, durably. Makes the session if it is not there. Errors: NoComponent, SessionTaken, Busy, Invalid, …
    pub async fn start(&self, owner: &Owner, order: StartRun) -> Result<Started, Error> {
        Err(Error::Internal)
    }
    /// Errors: NoRun; Conflict if it is over.
    pub async fn tell(&self, owner: &Owner, run: RunId, command: Command) -> Result<(), Error> {
        Err(Error::Internal)
    }
    /// History, then live, without a seam: entries of the session's log after `after`; pieces come as Said entries.
    pub fn tail(
        &self,
        owner: &Owner,
        session: &SessionId,
        after: Seq,
    ) -> impl Stream<Item = Result<Arc<Entry>, Error>> + use<> + Send + 'static {
        futures::stream::empty()
    }
    /// Waits until the run is over or waits for somebody; its view then.
    pub async fn finished(&self, owner: &Owner, run: RunId) -> Result<RunView, Error> {
        Err(Error::Internal)
    }
    /// The record with its live status. Errors: NoRun.
    pub async fn run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        Err(Error::Internal)
    }
    /// All runs of a session (child runs too), oldest first. Errors: NoSession.
    pub async fn runs(&self, owner: &Owner, session: &SessionId) -> Result<Vec<Run>, Error> {
        Err(Error::Internal)
    }
    /// What a run's facts tell.
    pub async fn view(&self, owner: &Owner, run: &Run) -> Result<RunView, Error> {
        Err(Error::Internal)
    }
    /// All entries of a run so far (for replays).
    pub async fn entries(&self, owner: &Owner, run: &Run) -> Result<Vec<Entry>, Error> {
        Err(Error::Internal)
    }
}
