//! A question to a model: asked beside the write that says so, heard piece by piece.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::{FutureExt, Stream, StreamExt};
use tokio::time::Instant;

use super::{Driver, Halt, out_of_time};
use crate::domain::fact::{Fact, Failure, Piece};
use crate::domain::id::ModelName;
use crate::domain::message::ModelCall;
use crate::domain::tool::ToolCall;
use crate::llm::{Answer, Chunk};
use crate::machine::News;
use crate::runtime::settle;

/// Pieces that are ready together are written together, so many at most.
const PIECES_AT_ONCE: usize = 64;

/// How often others have their turn before pieces are written; it ends as soon as a turn brings nothing.
const TURNS_FOR_OTHERS: usize = 8;

/// Bytes of pieces that are written together; far below what a store takes.
const PIECE_BYTES_AT_ONCE: usize = 512 * 1024;

/// Why a call is not made that comes after one with which the run ends.
const AFTER_THE_LAST: &str = "not called: the run ends with a call before it";

/// What a model's turn came to.
enum Heard {
    News(News),
    Chunk(Vec<Result<Chunk, Failure>>),
}

impl Driver {
    pub(super) async fn call_model(
        &mut self,
        turn: u32,
        model: ModelName,
        deadline: Instant,
    ) -> Result<(), Halt> {
        let mut call = self.question(&model).await?;
        let edit = match self.toolbox.hooks.before_model(&call.messages) {
            Ok(edit) => edit,
            Err(failed) => return self.record(News::Broken(Failure::new("internal", failed.to_string()))),
        };
        call.messages = settle::shown(self.machine.view(), edit.applied_to(call.messages));
        self.record(News::ModelCalled { turn, model: model.clone(), edit })?;
        let workspace = self.inner.workspace(&self.room.log.owner).await?;
        let Some(provider) = workspace.models.get(&model.provider).cloned() else {
            let message = format!("there is no provider `{}`", model.provider);
            return self.record(News::ModelFailed(Failure::new("unknown_provider", message)));
        };
        let (live, seconds) = (self.live.clone(), self.limits_seconds());
        let asked = async move {
            tokio::select! {
                biased;
                reason = live.stopped() => Err(News::Cancelled { reason }),
                () = tokio::time::sleep_until(deadline) => Err(out_of_time(seconds)),
                answer = AssertUnwindSafe(async { provider.answer(call).await }).catch_unwind() => match answer {
                    Ok(Ok(answer)) => Ok(answer),
                    Ok(Err(failure)) => Err(News::ModelFailed(failure)),
                    Err(_) => Err(News::ModelFailed(adapter_failed())),
                },
            }
        };
        tokio::pin!(asked);
        let mut answer = self.write_beside(&mut asked).await?;
        let live = self.live.clone();
        let answer = loop {
            match answer {
                Some(answer) => break answer,
                None => tokio::select! {
                    biased;
                    heard = &mut asked => answer = Some(heard),
                    () = live.mailed(), if self.given.is_none() => self.take_mail().await?,
                },
            }
        };
        match answer {
            Ok(answer) => self.listen(answer, deadline).await,
            Err(news) => self.record(news),
        }
    }

    /// Writes while a model is asked; what came of the question, if that was faster. A write that fails ends the
    /// question too: nobody will hear the answer.
    async fn write_beside<T>(
        &mut self,
        asked: &mut (impl Future<Output = T> + Unpin),
    ) -> Result<Option<T>, Halt> {
        let mut answer = None;
        let write = self.write();
        tokio::pin!(write);
        loop {
            tokio::select! {
                biased;
                written = &mut write => return written.map(|()| answer),
                heard = &mut *asked, if answer.is_none() => answer = Some(heard),
            }
        }
    }

    async fn listen(&mut self, answer: Answer, deadline: Instant) -> Result<(), Halt> {
        let seconds = self.limits_seconds();
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let answer = answer.map(|chunk| chunk.unwrap_or_else(|_| Err(adapter_failed())));
        let mut chunks = answer.ready_chunks(PIECES_AT_ONCE);
        let mut ready = Vec::new();
        let live = self.live.clone();
        let stopped = live.stopped();
        let late = tokio::time::sleep_until(deadline);
        tokio::pin!(stopped, late);
        loop {
            let heard = tokio::select! {
                biased;
                reason = &mut stopped => Heard::News(News::Cancelled { reason }),
                () = &mut late => Heard::News(out_of_time(seconds)),
                () = live.mailed(), if self.given.is_none() => {
                    self.take_mail().await?;
                    continue;
                }
                () = gather(&mut chunks, &mut ready) => match std::mem::take(&mut ready) {
                    none if none.is_empty() => Heard::News(News::ModelFailed(
                        Failure::new("truncated", "the model's answer has no end").retryable(),
                    )),
                    chunk => Heard::Chunk(chunk),
                },
            };
            match heard {
                Heard::News(news) => return self.record(news),
                Heard::Chunk(chunk) => {
                    if let Some(news) = self.hear(chunk).await? {
                        return self.record(news);
                    }
                }
            }
        }
    }

    /// Shows the pieces; the news, if the answer is over.
    async fn hear(&mut self, chunks: Vec<Result<Chunk, Failure>>) -> Result<Option<News>, Halt> {
        let mut pieces = Vec::with_capacity(chunks.len());
        let mut news = None;
        let mut bytes = 0_usize;
        for chunk in chunks {
            match chunk {
                Ok(Chunk::Piece(piece)) => {
                    bytes = bytes.saturating_add(length(&piece));
                    if bytes > PIECE_BYTES_AT_ONCE && !pieces.is_empty() {
                        self.say(std::mem::take(&mut pieces)).await?;
                        bytes = length(&piece);
                    }
                    pieces.push(piece);
                }
                Ok(Chunk::Done { mut tool_calls, finish, usage, id }) => {
                    let refused = self.refused(&mut tool_calls);
                    let waits =
                        |tool: &str| self.toolbox.get(tool).is_some_and(|tool| !tool.spec().gate.is_open());
                    let gated =
                        tool_calls.iter().filter(|call| waits(&call.name)).map(|call| call.id.clone());
                    let gated = gated.collect();
                    let provider_id = id;
                    let answered =
                        News::ModelAnswered { tool_calls, gated, refused, finish, usage, provider_id };
                    news = Some(answered);
                    break;
                }
                Err(failure) => {
                    news = Some(News::ModelFailed(failure));
                    break;
                }
            }
        }
        if !pieces.is_empty() {
            self.say(pieces).await?;
        }
        Ok(news)
    }

    /// Calls that are not made, by their places, and why: a capability objects, or the run ends with one before.
    fn refused(&self, calls: &mut [ToolCall]) -> Vec<(usize, String)> {
        let objections = self.toolbox.hooks.before_calls(calls).into_iter();
        let mut refused: Vec<(usize, String)> = objections.map(|one| (one.at, one.reason)).collect();
        let ends = |call: &ToolCall| self.toolbox.get(&call.name).is_some_and(|tool| tool.spec().gate.last);
        let is_made = |at: usize| refused.iter().all(|(place, _)| *place != at);
        let last = calls.iter().enumerate().find(|(at, call)| is_made(*at) && ends(call)).map(|(at, _)| at);
        if let Some(last) = last {
            let after = (last + 1..calls.len()).filter(|at| is_made(*at)).collect::<Vec<_>>();
            refused.extend(after.into_iter().map(|at| (at, AFTER_THE_LAST.to_owned())));
            refused.sort_by_key(|(at, _)| *at);
        }
        refused
    }

    async fn say(&mut self, pieces: Vec<Piece>) -> Result<(), Halt> {
        let at = self.inner.clock.now();
        while let Err(error) = self.inner.journal.say(&self.room, self.run(), at, pieces.clone()).await {
            self.await_store(error).await?;
        }
        self.machine.apply(at, &Fact::Said { pieces }).map_err(Halt::Violation)
    }

    async fn question(&mut self, model: &ModelName) -> Result<ModelCall, Halt> {
        let view = self.machine.view();
        let has_past = !view.history.is_empty() || view.origin.is_some();
        if self.history.is_empty() && has_past {
            self.history = loop {
                let view = self.machine.view();
                match settle::history(&self.inner, &self.room.log, view, &view.history).await {
                    Ok(history) => break history,
                    Err(error) => self.await_store(error).await?,
                }
            };
        }
        let mut question = settle::question(self.machine.view(), model, &self.history, &self.toolbox);
        while let Err(error) = self.inner.show_pictures(&self.room.log.owner, &mut question.messages).await {
            self.await_store(error).await?;
        }
        Ok(question)
    }
}

/// Waits for what is ready, and for what gets ready while others have their turn: pieces that come together are
/// written and shown together. Nothing, if there is no more. Dropped in between, it leaves what came in `ready`.
async fn gather<T>(chunks: &mut (impl Stream<Item = Vec<T>> + Unpin), ready: &mut Vec<T>) {
    if ready.is_empty() {
        ready.extend(chunks.next().await.into_iter().flatten());
    }
    for _ in 0..TURNS_FOR_OTHERS {
        if ready.len() >= PIECES_AT_ONCE {
            break;
        }
        tokio::task::yield_now().await;
        match chunks.next().now_or_never() {
            Some(Some(more)) => ready.extend(more),
            Some(None) | None => break,
        }
    }
}

fn adapter_failed() -> Failure {
    Failure::new("internal", "the model's adapter failed")
}

fn length(piece: &Piece) -> usize {
    match piece {
        Piece::Text(text) | Piece::Reasoning(text) => text.len(),
    }
}
