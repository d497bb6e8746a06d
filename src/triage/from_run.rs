//! An issue from a run: what went wrong is the issue, and the run's session its evidence.

use serde_json::{Value, json};

use super::Board;
use super::error::Error;
use crate::domain::Object;
use crate::domain::fact::Outcome;
use crate::domain::id::RunId;
use crate::domain::view::RunView;
use crate::runtime;

/// Longest title, in characters.
const MAX_TITLE: usize = 200;
/// Longest part of a description, in characters.
const MAX_PART: usize = 4_000;

impl Board {
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
