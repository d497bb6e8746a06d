//! An issue from a run: what went wrong is the issue, and the run's session its evidence.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Error;
use super::issue::NewIssue;
use super::norm::NORM;
use super::{Board, Triage};
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::fact::Outcome;
use crate::domain::id::{Owner, RunId};
use crate::domain::view::RunView;
use crate::runtime::documents::{Changes, Document};
use crate::runtime::{self, Claim};

/// After so long, runs that failed are looked for again.
const AGAIN: Duration = Duration::from_secs(10);
/// Longest title, in characters.
const MAX_TITLE: usize = 200;
/// Longest part of a description, in characters.
const MAX_PART: usize = 4_000;

/// Says that a run that failed has its issue.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reported {
    run: RunId,
}

impl Document for Reported {
    const KIND: RecordKind = RecordKind("triage_reported");

    fn id(&self) -> String {
        self.run.to_string()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

impl Triage {
    /// Opens an issue for every run that failed, Norm's own excepted; ends with the boards.
    pub fn report_failures(&self) {
        let boards = Arc::downgrade(&self.0);
        let runtime = self.runtime().clone();
        tokio::spawn(async move {
            loop {
                let Some(boards) = boards.upgrade() else { return };
                let more = Self(boards).report_failed().await;
                let wait = async {
                    if !more {
                        runtime.failure().await;
                    }
                };
                tokio::select! {
                    () = wait => {}
                    () = tokio::time::sleep(AGAIN) => {}
                    () = runtime.let_go() => return,
                }
            }
        });
    }

    /// Reports some of the runs that failed; whether there may be more.
    async fn report_failed(&self) -> bool {
        let failed = match self.runtime().failed_runs().await {
            Ok(failed) => failed,
            Err(error) => {
                tracing::warn!(%error, "the runs that failed cannot be read; trying again");
                return false;
            }
        };
        let mut are_seen_to = !failed.is_empty();
        for (owner, run) in failed {
            if let Err(error) = self.see_to(&owner, run).await {
                tracing::warn!(%error, run.id = %run, "run {run} failed, and no issue could be opened for it yet");
                are_seen_to = false;
            }
        }
        are_seen_to
    }

    async fn see_to(&self, owner: &Owner, run: RunId) -> Result<(), Error> {
        match self.of(owner).report(run).await {
            // It was taken away meanwhile.
            Err(Error::NotFound(_) | Error::Runtime(runtime::Error::NoRun(_) | runtime::Error::Damaged)) => {}
            reported => reported?,
        }
        Ok(self.runtime().seen_to(run).await?)
    }
}

impl Board {
    /// Opens the issue of a run that failed, unless it has one, or had.
    async fn report(&self, run: RunId) -> Result<(), Error> {
        let stored = self.runtime.run(self.owner(), run).await?;
        let known = self.documents.get::<Reported>(&run.to_string()).await?;
        if known.is_some() || stored.parent.is_some() || stored.component.as_str() == NORM {
            return Ok(());
        }
        let sent = json!({ "run_id": run.to_string(), "source": "automated" });
        let sent = self.with_run(sent.as_object().cloned().unwrap_or_default()).await?;
        let beside = Changes::default().create(&Reported { run });
        self.create_issue_beside(NewIssue::read(&sent)?, "system", &Claim::none(), beside).await.map(drop)
    }

    /// The fields of an issue that is opened from the run that `run_id` names: what is sent counts, the run says the
    /// rest, and its session is attached. Without a `run_id`, what is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotFound`]; what the store says.
    pub async fn with_run(&self, sent: Object) -> Result<Object, Error> {
        let Some(named) = sent.get("run_id").filter(|named| !named.is_null()) else { return Ok(sent) };
        let run = named.as_str().and_then(|text| text.parse::<RunId>().ok());
        let run = run.ok_or_else(|| Error::invalid("run_id", "must be the id of a run"))?;
        let mut told = match self.fields_of_run(run).await {
            Err(Error::Runtime(runtime::Error::NoRun(_))) => return Err(Error::NotFound("Run")),
            told => told?,
        };
        let session = told.remove("session").unwrap_or_default();
        told.extend(sent.into_iter().filter(|(_, value)| !value.is_null()));
        let link = json!({ "resource_type": "call", "resource_id": session });
        match told.entry("resource_links").or_insert_with(|| json!([])) {
            Value::Array(links) => links.push(link),
            // What is no list is told so where fields are read.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {}
        }
        Ok(told)
    }

    async fn fields_of_run(&self, run: RunId) -> Result<Object, Error> {
        let stored = self.runtime.run(self.owner(), run).await?;
        let view = self.runtime.view(self.owner(), &stored).await?;
        let name = view.spec.name();
        let asked = cut(&view.input.text, MAX_PART);
        let failure = match &view.outcome {
            Some(Outcome::Failed(failure)) => Some(failure),
            Some(Outcome::Completed | Outcome::Cancelled { .. }) | None => None,
        };
        let (title, came, severity, category) = match failure {
            Some(failure) => {
                let came = format!("It failed ({}): {}", failure.code, failure.message);
                (format!("{name} failed: {}", failure.message), came, "high", "Bug")
            }
            None => (format!("{name}: {}", view.input.text), answered(&view), "medium", "Dialogue"),
        };
        let description = format!("Run {run} of {name}.\n\nAsked:\n{asked}\n\n{}", cut(&came, MAX_PART));
        let fields = json!({
            "title": cut(&title.replace(char::is_whitespace, " "), MAX_TITLE),
            "description": description,
            "severity": severity,
            "category": category,
            "session": stored.session,
        });
        Ok(fields.as_object().cloned().unwrap_or_default())
    }
}

fn answered(view: &RunView) -> String {
    format!("Answered:\n{}", view.answer())
}

fn cut(text: &str, most: usize) -> String {
    text.trim().chars().take(most).collect()
}
