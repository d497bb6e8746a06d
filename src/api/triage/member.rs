//! Who asks, what for, and at which issue: what every handler begins with.
//!
//! A handler takes nothing of HTTP but what extractors make of it, so that a tool of `mcp` can call it as well.

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures::future::LocalBoxFuture;
use std::future::{Ready, ready};
use uuid::Uuid;

use super::error::Error;
use super::issue_body;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::path_text;
use crate::api::once::OnceHeader;
use crate::api::problem::Problem;
use crate::domain::Object;
use crate::domain::id::Owner;
use crate::runtime::Claim;
use crate::triage::entry::Actor;
use crate::triage::issue::Issue;
use crate::triage::{self, Board, form};

/// Somebody, at the board of their org.
#[derive(Clone)]
pub struct Member {
    /// The board.
    pub board: Board,
    caller: Caller,
}

/// Somebody, at an issue that is there.
pub struct AtIssue {
    /// Who.
    pub member: Member,
    /// The issue as it was when they came.
    pub issue: Issue,
}

/// The ids a request names.
pub enum Ids {
    /// In its address.
    Address(HttpRequest),
    /// Among a tool's arguments.
    Arguments(Object),
}

impl Member {
    /// This caller.
    pub fn new(state: &ApiState, caller: Caller) -> Self {
        Self { board: state.triage.of(caller.owner()), caller }
    }

    /// Whose data it is.
    pub fn org(&self) -> &Owner {
        self.caller.owner()
    }

    /// What they are called.
    pub fn name(&self) -> &str {
        self.caller.name()
    }

    /// As the one who did something.
    pub fn actor(&self) -> Actor {
        Actor::user(self.name())
    }

    /// The right to do once what came under a key.
    ///
    /// # Errors
    /// Those of [`OnceHeader::claim`].
    pub async fn claim(&self, key: &OnceHeader) -> Result<Claim, Error> {
        Ok(key.claim(self.board.runtime(), &self.caller).await?)
    }
}

impl AtIssue {
    /// The issue that is named so.
    ///
    /// # Errors
    /// 404 if there is none, or it is another org's.
    pub async fn named(member: Member, ids: &Ids, name: &str) -> Result<Self, Error> {
        let issue = member.board.issue(ids.uuid(name, "Issue")?).await?;
        Ok(Self { member, issue })
    }

    /// The board it is on.
    pub fn board(&self) -> &Board {
        &self.member.board
    }

    /// Whose data it is.
    pub fn org(&self) -> &Owner {
        self.member.org()
    }

    /// Who came, as the one who did something.
    pub fn actor(&self) -> Actor {
        self.member.actor()
    }

    /// An issue as it is shown to whoever came.
    ///
    /// # Errors
    /// What the store says.
    pub async fn shown(&self, issue: Issue) -> Result<serde_json::Value, Error> {
        let seen = self.board().seen_by(issue, self.member.name()).await?;
        Ok(issue_body::seen(self.org(), &seen))
    }
}

impl Ids {
    /// As it was sent; empty if it was not.
    pub fn text(&self, name: &str) -> String {
        match self {
            Self::Address(request) => path_text(request, name),
            Self::Arguments(sent) => sent.get(name).and_then(|id| id.as_str()).unwrap_or_default().to_owned(),
        }
    }

    /// The id of something. What is none names nothing.
    ///
    /// # Errors
    /// 404 `<what> not found`.
    pub fn uuid(&self, name: &str, what: &'static str) -> Result<Uuid, Error> {
        let found = form::uuid(&self.text(name).to_ascii_lowercase());
        found.ok_or_else(|| triage::error::Error::NotFound(what).into())
    }
}

impl FromRequest for Member {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let Some(state) = request.app_data::<Data<ApiState>>() else {
            return ready(Err(Problem::internal()));
        };
        let caller = Caller::from_request(request, payload).into_inner();
        ready(caller.map(|caller| Self::new(state, caller)))
    }
}

impl FromRequest for AtIssue {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let member = Member::from_request(request, payload).into_inner();
        let ids = Ids::Address(request.clone());
        Box::pin(async move { Self::named(member?, &ids, "id").await })
    }
}

impl FromRequest for Ids {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::Address(request.clone())))
    }
}
