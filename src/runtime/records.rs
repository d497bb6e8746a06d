//! Typed records: which kinds there are, how they are keyed and tagged.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::domain::document::{Key, Record, RecordKind, Tag, Tags};
use crate::domain::id::{Owner, RunId, SessionId, UserId};
use crate::domain::once::{Fingerprint, Once};
use crate::domain::run::{Run, Session};
use crate::domain::spec::ComponentKind;
use crate::store::{Expect, Put};

/// Session headers.
pub(super) const SESSION: RecordKind = RecordKind("session");
/// What sessions carry: state, metadata, summary.
pub(super) const SESSION_DATA: RecordKind = RecordKind("session_data");
/// Runs.
pub(super) const RUN: RecordKind = RecordKind("run");
/// When runs that wait are to be looked at, of all owners.
pub(super) const DEADLINE: RecordKind = RecordKind("deadline");
/// Runs that somebody must drive, of all owners; read at start.
pub(super) const OPEN_RUN: RecordKind = RecordKind("open_run");
/// Runs that failed and that nobody has seen to, of all owners.
pub(super) const FAILED_RUN: RecordKind = RecordKind("failed_run");
/// Which sessions share the log of another.
pub(super) const HOLD: RecordKind = RecordKind("hold");
/// What was made with a client's key, of all owners; the oldest are swept away.
pub(super) const RECEIPT: RecordKind = RecordKind("receipt");

/// The owner of records that are the server's own. No token has it: it holds a character no owner may.
pub(super) fn server() -> Owner {
    static SERVER: std::sync::OnceLock<Owner> = std::sync::OnceLock::new();
    SERVER.get_or_init(Owner::server).clone()
}

/// Where a session's header is.
pub(super) fn session_key(owner: &Owner, id: &SessionId) -> Key {
    Key { owner: owner.clone(), kind: SESSION, id: id.to_string() }
}

/// Where a session's data is.
pub(super) fn data_key(owner: &Owner, id: &SessionId) -> Key {
    Key { owner: owner.clone(), kind: SESSION_DATA, id: id.to_string() }
}

/// Where a run's record is.
pub(super) fn run_key(owner: &Owner, id: RunId) -> Key {
    Key { owner: owner.clone(), kind: RUN, id: id.to_string() }
}

/// Where it says that a run must be driven.
pub(super) fn open_run_key(id: RunId) -> Key {
    Key { owner: server(), kind: OPEN_RUN, id: id.to_string() }
}

/// Where it says that a run failed and was not seen to.
pub(super) fn failed_run_key(id: RunId) -> Key {
    Key { owner: server(), kind: FAILED_RUN, id: id.to_string() }
}

/// Where it says what was made with a client's key. The id tells neither the key nor whose it is.
pub(super) fn receipt_key(owner: &Owner, Once { key, by, .. }: &Once) -> Key {
    // Neither owners nor keys hold a line break, so no two are written alike.
    let hash = Sha256::digest(format!("{owner}\n{}\n{by}", key.as_str()));
    Key { owner: server(), kind: RECEIPT, id: Fingerprint(hash.into()).to_string() }
}

/// Where it says that a session shares the log of another.
pub(super) fn hold_key(owner: &Owner, by: &SessionId, of: &SessionId) -> Key {
    // Whoever shares a log is named by a UUID, so no two pairs are written alike.
    Key { owner: owner.clone(), kind: HOLD, id: format!("{by}/{of}") }
}

/// Sessions that share a log.
pub(super) fn holder_tag(of: &SessionId) -> Tag {
    Tag::new("of", of.as_str())
}

/// Where it says when a run that waits is to be looked at.
pub(super) fn deadline_key(id: RunId) -> Key {
    Key { owner: server(), kind: DEADLINE, id: id.to_string() }
}

/// What a session is listed by.
pub(super) fn session_tags(session: &Session) -> Tags {
    let mut names = vec![kind_tag(session.kind)];
    names.extend(session.component.as_ref().map(|id| component_tag(session.kind, id.as_str())));
    if let Some(user) = &session.user {
        names.push(user_tag(user));
        names.push(user_kind_tag(user, session.kind));
    }
    Tags { sort: session.created.0, listed: true, names }
}

/// Sessions of a kind.
pub(super) fn kind_tag(kind: ComponentKind) -> Tag {
    Tag::new("kind", kind.as_str())
}

/// Sessions of one agent, team or workflow.
pub(super) fn component_tag(kind: ComponentKind, id: &str) -> Tag {
    Tag::new("component", format!("{}/{id}", kind.as_str()))
}

/// Sessions of a user.
pub(super) fn user_tag(user: &UserId) -> Tag {
    Tag::new("user", user.as_str())
}

/// Sessions of a user and a kind.
pub(super) fn user_kind_tag(user: &UserId, kind: ComponentKind) -> Tag {
    Tag::new("user_kind", format!("{}/{user}", kind.as_str()))
}

/// Runs of a session.
pub(super) fn session_tag(session: &SessionId) -> Tag {
    Tag::new("session", session.as_str())
}

/// Runs of the tree under a run.
pub(super) fn root_tag(root: RunId) -> Tag {
    Tag::new("root", root.to_string())
}

/// Runs that a run asked for.
pub(super) fn parent_tag(parent: RunId) -> Tag {
    Tag::new("parent", parent.to_string())
}

/// A run's record, as it is written.
pub(super) fn put_run(owner: &Owner, run: &Run, expect: Expect) -> Result<Put, Error> {
    let mut names = vec![session_tag(&run.session)];
    names.extend(run.root.map(root_tag));
    names.extend(run.parent.map(parent_tag));
    let tags = Tags { sort: run.first, listed: false, names };
    put(run_key(owner, run.id), expect, tags, run)
}

/// A record of a value.
pub(super) fn put(key: Key, expect: Expect, tags: Tags, value: &impl Serialize) -> Result<Put, Error> {
    let body = serde_json::to_vec(value).map_err(|cause| {
        tracing::error!(%key, %cause, "a record cannot be written as JSON");
        Error::Internal
    })?;
    Ok(Put { key, expect, tags, body: Bytes::from(body) })
}

/// The value of a record; one that does not parse is an internal error, logged with its key.
pub(super) fn parse<T: DeserializeOwned>(record: &Record) -> Result<T, Error> {
    serde_json::from_slice(&record.body).map_err(|cause| {
        tracing::error!(key = %record.key, %cause, "a stored record cannot be read");
        Error::Damaged
    })
}
