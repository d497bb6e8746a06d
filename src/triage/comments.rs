//! Comments on issues; one that mentions `@norm` sets him to work.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Board;
use super::entry::{Actor, Entry, EntryType, Saying};
use super::error::Error;
use super::form::{Faults, Form};
use super::intent::{Asked, Intent};
use super::norm::{NewPrompt, Via, WhichSession};
use crate::domain::Object;
use crate::runtime::Claim;

/// Links a comment may point at.
const MAX_LINKS: usize = 50;

/// A comment that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewComment {
    /// 1 to 4000 characters, not all of them blank.
    pub detail: String,
    /// Links of the issue it points at.
    pub links: Vec<Uuid>,
}

/// What a mention set going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The agent session.
    pub session: Uuid,
    /// The run in it.
    pub run: Uuid,
    /// What it is for.
    pub intent: Intent,
}

impl NewComment {
    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(sent: &Object) -> Result<Self, Faults> {
        let mut form = Form::of(sent);
        let comment = Self {
            detail: form.required("detail", detail),
            links: form.list("resource_link_ids", MAX_LINKS, |form, path, item| {
                let id = item.as_str().and_then(super::form::uuid);
                if id.is_none() {
                    form.fault(path, "must be the id of a resource link");
                }
                id
            }),
        };
        form.done(comment)
    }
}

/// A text somebody says: 1 to 4000 characters as they were sent, not all of them blank.
pub fn detail(form: &mut Form<'_>) -> Option<String> {
    let text = form.text("detail", 1..=4000)?;
    let is_blank = text.trim().is_empty();
    if is_blank {
        form.fault("detail", "must not be blank");
    }
    (!is_blank).then_some(text)
}

impl Board {
    /// Writes a comment, then sets Norm to work if it mentions him: the comment stays, whatever comes of that.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for links that are not the issue's; what the store says.
    pub async fn comment(
        &self,
        issue: Uuid,
        new: NewComment,
        by: &Actor,
        claim: &Claim,
    ) -> Result<Entry, Error> {
        if let Some(made) = claim.made::<Entry>()? {
            return Ok(self.entry(issue, made.id).await?.unwrap_or(made));
        }
        let asked = Asked::mentioned(&new.detail);
        let mut work = self.work(issue).await?;
        let mut saying = Saying::new(EntryType::Comment, by.clone(), new.detail);
        saying.resources = self.links_named(issue, &new.links).await?;
        let entry = work.say(saying);
        work.save_once(claim, &entry).await?;
        match asked {
            Some(asked) => self.dispatched(entry, asked, by).await,
            None => Ok(entry),
        }
    }

    /// The comment, with what its mention came to.
    async fn dispatched(&self, entry: Entry, asked: Asked, by: &Actor) -> Result<Entry, Error> {
        let outcome = match self.dispatch(&entry, asked, by).await {
            Ok(Dispatch { session, run, intent }) => {
                json!({ "session_id": session, "run_id": run, "intent": intent })
            }
            Err(error) => json!({ "error": told(&error) }),
        };
        let mut saying = entry.saying.clone();
        saying.metadata.get_or_insert_default().insert("dispatch".into(), outcome);
        let (_, mut entries) = self.record_work(entry.issue, vec![(entry.id, saying)], None).await?;
        Ok(entries.pop().unwrap_or(entry))
    }

    /// Sets Norm to work in the issue's newest session, or in a new one.
    async fn dispatch(&self, entry: &Entry, asked: Asked, by: &Actor) -> Result<Dispatch, Error> {
        let raw = entry.saying.detail.clone();
        let new = NewPrompt { asked, raw, via: Via::Comment, by: by.clone() };
        self.prompt(entry.issue, WhichSession::Latest, new, &Claim::none()).await
    }
}

fn told(error: &Error) -> Value {
    let code = match error {
        Error::Conflict { code, .. } => code,
        Error::NotFound(_) => "not_found",
        Error::Invalid(_) => "bad_request",
        Error::Runtime(_) => "internal_error",
    };
    json!({ "code": code, "message": error.to_string() })
}
