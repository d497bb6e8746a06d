//! Going on from a run that is over, or beside one that waits: a run of its own, which begins with what was said.

use actix_web::HttpResponse;

use crate::api::fields::{Fields, FromFields};
use crate::api::form::MAX_FIELD_BYTES;
use crate::api::once;
use crate::api::sse::Seat;
use crate::domain::fact::RunOptions;
use crate::domain::fork::{Origin, Way};
use crate::domain::id::{Owner, UserId};
use crate::domain::message::{Input, Message};
use crate::domain::run::{Run, StartRun, Status};
use crate::domain::spec::{ComponentKind, OnSecondMessage, Spec};
use crate::domain::view::RunView;
use crate::runtime::{Claim, MadeRun, Runtime};

use super::component::Component;
use super::error::Error;
use super::run_form;
use super::runs::{self, Wanted};

/// What a client may say about going on from a run.
#[derive(Debug, Clone)]
pub(super) struct ForkForm {
    input: Option<String>,
    from: Option<String>,
    fork: bool,
    regenerate: bool,
    replace_original: Option<bool>,
    additional_instructions: Option<String>,
    user: Option<UserId>,
    options: RunOptions,
    on_second_message: Option<OnSecondMessage>,
}

/// From where a conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    End,
    LastUser,
    Index(usize),
}

impl FromFields for ForkForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let mut text = |name: &str| {
            let text = fields.text(name).filter(|text| !text.is_empty());
            if text.as_ref().is_some_and(|text| text.len() > MAX_FIELD_BYTES) {
                let message = format!("String should have at most {MAX_FIELD_BYTES} bytes");
                fields.violation(name, "string_too_long", message);
            }
            text
        };
        let (input, additional_instructions) = (text("input"), text("additional_instructions"));
        let from = text("continue_from");
        Self {
            input,
            from,
            fork: fields.flag("fork").unwrap_or(false),
            regenerate: fields.flag("regenerate").unwrap_or(false),
            replace_original: fields.flag("replace_original"),
            additional_instructions,
            user: fields.id("user_id"),
            options: run_form::options(fields),
            on_second_message: fields.choice("on_second_message", &run_form::SECOND),
        }
    }
}

impl ForkForm {
    /// Whether a run of its own goes on, and not this one: a decision that comes too late begins nothing. `made` is
    /// what an order under the same key made before.
    pub(super) fn is_meant(&self, run: &Run, decides: bool, made: Option<MadeRun>) -> bool {
        if let Some(made) = made {
            return made.run != run.root.unwrap_or(run.id);
        }
        if run.kind == ComponentKind::Workflow {
            return run.status == Status::Failed && !decides;
        }
        match run.status {
            Status::Completed | Status::Failed | Status::Replaced => !decides || self.says_more(),
            Status::Paused => self.fork || self.regenerate,
            Status::Pending | Status::Running | Status::Cancelled => false,
        }
    }

    fn says_more(&self) -> bool {
        let is_elsewhere = self.from.as_deref().is_some_and(|from| from.trim() != "end");
        let has_text = self.input.is_some() || self.additional_instructions.is_some();
        self.fork || self.regenerate || is_elsewhere || has_text
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// 400.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.place()?;
        let both = self.input.is_some() && self.additional_instructions.is_some();
        let wrong = if both {
            "Provide either additional_instructions or input, not both."
        } else if self.replace_original.is_some() && !self.regenerate {
            "replace_original only makes sense with regenerate=true."
        } else if self.regenerate && matches!(self.place()?, From::Index(_)) {
            "regenerate=true finds by itself where to go on: leave continue_from out."
        } else {
            return Ok(());
        };
        Err(Error::bad_request(wrong))
    }

    fn place(&self) -> Result<From, Error> {
        match self.from.as_deref().map_or("end", str::trim) {
            "end" => Ok(From::End),
            "last_user" => Ok(From::LastUser),
            index => index.parse().map(From::Index).map_err(|_| {
                Error::bad_request(
                    "Invalid continue_from. Use 'end', 'last_user', or a numeric message index.",
                )
            }),
        }
    }

    /// Of a workflow that failed: its finished steps are kept, so it is asked what it was asked before.
    fn resume(&self, view: &RunView) -> Result<(Origin, Input), Error> {
        let is_elsewhere = self.from.as_deref().is_some_and(|from| from.trim() != "end");
        if is_elsewhere || self.regenerate || self.input.is_some() || self.additional_instructions.is_some() {
            return Err(Error::bad_request(
                "A workflow that failed goes on from the failed step, with the input it had.",
            ));
        }
        Ok((Origin::resuming(view.run, view.session.clone()), view.input.clone()))
    }

    /// Options of the new run; of a workflow that is resumed, those it had, but for a state that was laid over the
    /// session's when it began.
    fn options(&self, view: &RunView) -> RunOptions {
        if self.options == RunOptions::default() && matches!(view.spec.as_ref(), Spec::Workflow(_)) {
            return RunOptions { session_state: None, ..view.options.clone() };
        }
        self.options.clone()
    }

    /// Where the new run begins, and what it is asked.
    fn plan(&self, view: &RunView) -> Result<(Origin, Input), Error> {
        if matches!(view.spec.as_ref(), Spec::Workflow(_)) {
            return self.resume(view);
        }
        let system = usize::from(view.system.is_some());
        let mut said = view.messages();
        said.truncate(last_cut(view, usize::MAX));
        let kept = match self.place()? {
            From::Index(index) => last_cut(view, within(view, index)?.saturating_sub(system)),
            From::LastUser | From::End if self.regenerate => before_answer(&said),
            From::End => said.len(),
            From::LastUser => {
                let last = said.iter().rposition(|message| matches!(message, Message::User { .. }));
                last.ok_or_else(|| Error::bad_request("The run has no user message to go on from."))? + 1
            }
        };
        let (messages, input) = self.asked(view, &said, kept)?;
        let replaces = self.replace_original.unwrap_or(true);
        let way = if self.regenerate { Way::Regenerated { replaces } } else { Way::Continued };
        let (run, session) = (view.run, view.session.clone());
        Ok((Origin { run, session, messages, index: kept.saturating_add(system), way }, input))
    }

    /// What is asked after so many messages, and how many of them come before that: a message nobody answered is
    /// asked again.
    fn asked(&self, view: &RunView, said: &[Message], kept: usize) -> Result<(usize, Input), Error> {
        let text = self.input.as_ref().or(self.additional_instructions.as_ref());
        let last = kept.checked_sub(1).and_then(|last| said.get(last).map(|message| (last, message)));
        match (last, text) {
            (Some((before, Message::User { input })), None) => Ok((before, input.clone())),
            (Some((before, Message::User { input })), Some(more)) if self.regenerate => {
                let text = format!("{}\n\n{more}", input.text);
                Ok((before, Input { text, ..input.clone() }))
            }
            (_, Some(text)) => Ok((kept, Input { text: text.clone(), ..Input::default() })),
            (Some((_, Message::Tool { .. })), None) => Ok((kept, Input::default())),
            (None, None) if view.input.is_empty() => Ok((kept, Input::default())),
            (_, None) => {
                Err(Error::bad_request("input is required to go on from where the run has its answer"))
            }
        }
    }
}

/// A message index, if the run has as many messages.
///
/// # Errors
/// 400 with the range.
pub(super) fn within(view: &RunView, index: usize) -> Result<usize, Error> {
    let most = super::message_body::stored(view).len();
    if index > most {
        return Err(Error::bad_request(format!("message_index must be between 0 and {most}")));
    }
    Ok(index)
}

/// The last place up to there where the conversation can be cut.
fn last_cut(view: &RunView, most: usize) -> usize {
    view.boundaries().into_iter().take_while(|cut| *cut <= most).last().unwrap_or(0)
}

/// Without the last answer: what tools were called for it stays, so that none is called again.
fn before_answer(said: &[Message]) -> usize {
    let is_answer = |message: &&Message| matches!(message, Message::Assistant { tool_calls, .. } if tool_calls.is_empty());
    said.len().saturating_sub(said.iter().rev().take_while(is_answer).count())
}

/// Starts the run, and answers as for any new run.
pub(super) async fn fork(
    runtime: &Runtime,
    owner: &Owner,
    (component, run): (Component, Run),
    form: ForkForm,
    (wanted, seat): (Wanted, Option<Seat>),
    claim: Claim,
) -> Result<HttpResponse, Error> {
    let (again, has_key) = (claim.is_done(), claim.has_key());
    let view = runtime.view(owner, &run).await?;
    // Of an order that was carried out nothing is planned: the run may be further since.
    let (origin, input) = if again {
        (Origin::resuming(view.run, view.session.clone()), Input::default())
    } else {
        form.plan(&view)?
    };
    let options = form.options(&view);
    let order = StartRun {
        kind: component.kind,
        component: component.id.clone(),
        session: Some(run.session),
        user: form.user.or(run.user),
        input,
        options,
        on_second_message: form.on_second_message,
    };
    let started = runtime.fork_once(owner, order, origin, claim).await?;
    let response = runs::respond(runtime, &component.spec, &started, wanted, (again, has_key), seat).await?;
    Ok(once::marked(response, again))
}
