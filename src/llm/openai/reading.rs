//! An answer while it comes: events in, chunks out, and an end that is never made up.

use std::collections::VecDeque;
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::types::stream::StreamResponse;
use futures::{Stream, StreamExt, stream};
use tokio::time::timeout;

use super::calls::Calls;
use super::fault::{Fault, Wait, is_passing};
use super::transport::FaultSlot;
use super::wire::{Complaint, Event, Tokens};
use crate::domain::fact::{Failure, Piece};
use crate::domain::message::{Finish, Usage};
use crate::llm::Chunk;
use crate::llm::secret::Secret;

/// How long the token counts may take after the answer itself is complete.
const AFTERWORD: Duration = Duration::from_secs(5);

/// Events of one response.
pub(super) struct Events {
    stream: StreamResponse<Event>,
    slot: FaultSlot,
}

impl Events {
    /// The events the library reads, with the faults that the transport finds in them.
    pub(super) fn new(stream: StreamResponse<Event>, slot: FaultSlot) -> Self {
        Self { stream, slot }
    }

    /// The next event, or `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Fault> {
        match self.stream.next().await {
            Some(Ok(event)) if !Complaint::is_one(&event.error) => Ok(Some(event)),
            Some(Ok(event)) => Err(reported(&Complaint::read(&event.error))),
            Some(Err(error)) => Err(fault_of(&error, &self.slot)),
            None => Ok(None),
        }
    }
}

/// The fault behind an error of the library: as a rule one of ours, which was left in the slot.
pub(super) fn fault_of(error: &OpenAIError, slot: &FaultSlot) -> Fault {
    match error {
        _ if let Some(fault) = slot.take() => fault,
        OpenAIError::JSONDeserialize(..) => Fault::BrokenEvent,
        OpenAIError::InvalidArgument(why) => Fault::Request(why.clone()),
        OpenAIError::Reqwest(_)
        | OpenAIError::ApiError(_)
        | OpenAIError::FileSaveError(_)
        | OpenAIError::FileReadError(_)
        | OpenAIError::StreamError(_)
        | OpenAIError::Boxed(_) => Fault::BrokenOff(error.to_string()),
    }
}

fn reported(complaint: &Complaint) -> Fault {
    let status_passes = complaint.code.parse().is_ok_and(is_passing);
    let named =
        matches!(complaint.code.as_str(), "server_error" | "rate_limit_exceeded" | "overloaded_error");
    Fault::Reported { said: complaint.message.clone(), passing: status_passes || named }
}

/// What is needed to tell a fault.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    pub(super) provider: String,
    pub(super) secrets: Vec<Secret>,
}

impl Teller {
    /// The fault in words fit to be shown.
    pub(super) fn tell(&self, fault: &Fault) -> Failure {
        fault.told(&self.provider, &self.secrets)
    }
}

/// An answer while it comes.
pub(super) struct Reading {
    events: Events,
    idle: Duration,
    teller: Teller,
    calls: Calls,
    ready: VecDeque<Chunk>,
    finish: Option<String>,
    usage: Usage,
    id: Option<String>,
    over: bool,
}

impl Reading {
    /// Reads on from the first event, which is here already; `None` is an answer that ended before it began.
    pub(super) fn new(
        events: Events,
        first: Option<Event>,
        idle: Duration,
        calls: Calls,
        teller: Teller,
    ) -> Self {
        let mut reading = Self {
            events,
            idle,
            teller,
            calls,
            ready: VecDeque::new(),
            finish: None,
            usage: Usage::default(),
            id: None,
            over: false,
        };
        if let Some(event) = first {
            reading.take(event);
        }
        reading
    }

    /// Chunks until the end; dropping them ends the request.
    pub(super) fn chunks(self) -> impl Stream<Item = Result<Chunk, Failure>> + Send + 'static {
        stream::unfold(self, |mut reading| async move {
            let chunk = reading.next().await?;
            Some((chunk, reading))
        })
    }

    async fn next(&mut self) -> Option<Result<Chunk, Failure>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if self.over {
                return None;
            }
            match self.event().await {
                Ok(Some(event)) => self.take(event),
                Ok(None) => return Some(self.end(Fault::Truncated)),
                Err(fault) => return Some(self.end(fault)),
            }
        }
    }

    async fn event(&mut self) -> Result<Option<Event>, Fault> {
        let patience = if self.finish.is_some() { self.idle.min(AFTERWORD) } else { self.idle };
        match timeout(patience, self.events.next()).await {
            Ok(event) => event,
            Err(_) => Err(Fault::Slow(Wait::NextEvent(patience))),
        }
    }

    fn take(&mut self, event: Event) {
        if self.id.is_none() && !event.id.is_empty() {
            self.id = Some(event.id);
        }
        if let Some(tokens) = event.usage {
            self.usage = Tokens::into(tokens);
        }
        let Some(mut choice) = event.choices.into_iter().next() else { return };
        let delta = choice.delta();
        let pieces = [Piece::Reasoning(delta.reasoning()), Piece::Text(delta.text())];
        self.ready.extend(pieces.into_iter().filter(|piece| !is_empty(piece)).map(Chunk::Piece));
        for part in delta.calls() {
            self.calls.add(part);
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish = Some(reason);
        }
    }

    /// The end. Once the answer is complete, nothing that happens afterwards can make it less so.
    fn end(&mut self, otherwise: Fault) -> Result<Chunk, Failure> {
        self.over = true;
        let Some(reason) = self.finish.take() else { return Err(self.teller.tell(&otherwise)) };
        let tool_calls = std::mem::take(&mut self.calls).finished();
        let finish = match reason.as_str() {
            "error" => return Err(self.teller.tell(&reported_by_reason())),
            "length" => Finish::Length,
            "content_filter" => Finish::ContentFilter,
            // Many providers say `stop`, or something of their own, beside calls.
            _ if tool_calls.is_empty() => Finish::Stop,
            _ => Finish::ToolCalls,
        };
        Ok(Chunk::Done { tool_calls, finish, usage: self.usage, id: self.id.take() })
    }
}

fn reported_by_reason() -> Fault {
    Fault::Reported { said: "the answer's finish_reason is `error`".into(), passing: true }
}

fn is_empty(piece: &Piece) -> bool {
    match piece {
        Piece::Text(text) | Piece::Reasoning(text) => text.is_empty(),
    }
}
