//! A model that answers in pieces, calls tools well and badly, fails, hangs, and is cut off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use runhold::domain::fact::{Failure, Piece};
use runhold::domain::message::{Finish, Message, ModelCall, Usage};
use runhold::domain::tool::ToolCall;
use runhold::llm::{Answer, Chunk, Model};

use super::tools::TOOLS;
use super::weather::Weather;
use super::world::World;
use super::{dice_of, number_of};
use crate::dice::Dice;

/// A model that has been called for so many tools answers in words.
const ENOUGH_RESULTS: usize = 6;

/// How often each input was asked about; it outlives a process, so that a question asked again is a new one.
#[derive(Default)]
pub(super) struct Asked(Mutex<BTreeMap<String, u64>>);

/// The model as one process reaches it.
pub(super) struct MoodyModel {
    pub(super) world: Arc<World>,
    pub(super) weather: Weather,
}

type Chunks = Vec<(u64, Result<Chunk, Failure>)>;

#[async_trait]
impl Model for MoodyModel {
    async fn answer(&self, call: ModelCall) -> Result<Answer, Failure> {
        self.check_healed(&call);
        let input = last_input(&call);
        let times = {
            let mut asked = self.world.asked.0.lock().unwrap();
            let times = asked.entry(input.clone()).or_default();
            *times += 1;
            *times
        };
        let mut dice = dice_of(self.world.seed, &[10, number_of(&input), times]);
        if dice.chance(70) {
            tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        }
        if dice.chance(self.weather.mood()) {
            let failure = Failure::new("model_provider_error", "as the seed wants it");
            match dice.below(5) {
                0 => std::future::pending::<()>().await,
                1 | 2 => return Err(failure.retryable()),
                _ => return Err(failure),
            }
        }
        let (chunks, hangs) = self.chunks(&call, &input, times, &mut dice);
        let told = stream::iter(chunks).then(|(pause, chunk)| async move {
            match pause {
                0 => {}
                1 => tokio::task::yield_now().await,
                pause => tokio::time::sleep(Duration::from_millis(pause)).await,
            }
            chunk
        });
        Ok(if hangs { told.chain(stream::pending()).boxed() } else { told.boxed() })
    }
}

impl MoodyModel {
    /// What it says, and whether it never comes to an end.
    fn chunks(&self, call: &ModelCall, input: &str, times: u64, dice: &mut Dice) -> (Chunks, bool) {
        let pauses = dice.below(40) + 1;
        let pieces = dice.below(9);
        let mut chunks: Chunks = (0..pieces)
            .map(|at| {
                let text = format!("{input}/{times}.{at} ");
                let piece = if at < 2 && times == 1 { Piece::Reasoning(text) } else { Piece::Text(text) };
                (dice.below(pauses), Ok(Chunk::Piece(piece)))
            })
            .collect();
        if dice.chance(self.weather.mood() / 2) {
            let failure = Failure::new("model_provider_error", "in the middle").retryable();
            match dice.below(3) {
                0 => return (chunks, true),
                1 => chunks.push((dice.below(pauses), Err(failure))),
                _ => {}
            }
            return (chunks, false);
        }
        let results = results(call);
        let calls = if results < ENOUGH_RESULTS && dice.chance(65) { 1 + dice.below(3) } else { 0 };
        let tool_calls: Vec<_> = (0..calls).map(|at| tool_call(at, results, dice)).collect();
        let finish = if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        let usage = Usage { input: dice.below(50), output: dice.below(50), ..Usage::default() };
        chunks.push((dice.below(pauses), Ok(Chunk::Done { tool_calls, finish, usage, id: None })));
        (chunks, false)
    }

    /// Providers refuse a conversation in which a call has no result.
    fn check_healed(&self, call: &ModelCall) {
        let mut open: Vec<_> = Vec::new();
        for message in &call.messages {
            match message {
                Message::Tool { call, .. } => {
                    let before = open.len();
                    open.retain(|id| id != call);
                    self.world.must(open.len() < before, || format!("a result of `{call}` nobody asked for"));
                }
                Message::Assistant { tool_calls, .. } => {
                    self.world.must(open.is_empty(), || format!("a model is shown open calls: {open:?}"));
                    open = tool_calls.iter().map(|call| call.id.clone()).collect();
                }
                Message::User { .. } | Message::System { .. } => {
                    self.world.must(open.is_empty(), || format!("a model is shown open calls: {open:?}"));
                }
            }
        }
        self.world.must(open.is_empty(), || format!("a model is shown open calls: {open:?}"));
    }
}

fn tool_call(at: u64, results: usize, dice: &mut Dice) -> ToolCall {
    let name = match dice.below(20) {
        0 => "unheard_of",
        _ => TOOLS[dice.below(TOOLS.len() as u64) as usize],
    };
    let arguments = match dice.below(20) {
        0 => "{\"n\": ".to_owned(),
        1 => "{\"n\": \"one\"}".to_owned(),
        2 => String::new(),
        _ => format!("{{\"n\": {}}}", dice.below(1000)),
    };
    // Some models count their calls from 1 in every answer.
    let id = if dice.chance(50) { format!("c{at}") } else { format!("c{results}-{at}") };
    ToolCall { id: id.parse().unwrap(), name: name.into(), arguments }
}

fn last_input(call: &ModelCall) -> String {
    let inputs = call.messages.iter().rev().find_map(|message| match message {
        Message::User { input } => Some(input.text.clone()),
        Message::System { .. } | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    inputs.unwrap()
}

fn results(call: &ModelCall) -> usize {
    let own = call.messages.iter().rev().take_while(|message| !matches!(message, Message::User { .. }));
    own.filter(|message| matches!(message, Message::Tool { .. })).count()
}
