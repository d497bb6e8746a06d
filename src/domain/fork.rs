//! What begins with part of another's conversation, runs and sessions, and where a conversation can be cut.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::Seq;
use super::id::{RunId, SessionId};
use super::message::{Input, Message};
use super::run::Status;
use super::view::RunView;

/// Entries of one session's log that another session reads as its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// In whose log they are.
    pub session: SessionId,
    /// Those after this number,
    pub after: Seq,
    /// up to this one.
    pub upto: Seq,
}

/// The name of a session that shares another's log: a UUID of version 8 that begins with 48 bits of nothing. A run
/// that is shared has the same name with the number of its first entry in that place, so that its name alone tells
/// where it is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork(Uuid);

/// How far the number of an entry is to the left in a name.
const PLACE_SHIFT: u32 = 80;

impl Fork {
    /// Made of a name that was never used before.
    pub fn new(fresh: Uuid) -> Self {
        Self::named(fresh.as_u128(), 0)
    }

    fn named(bits: u128, place: Seq) -> Self {
        const VERSION: u128 = 0x8000 << 64;
        const VARIANT: u128 = 0x8000 << 48;
        let random = bits & (0x0FFF << 64 | 0x3FFF_FFFF_FFFF_FFFF);
        Self(Uuid::from_u128(u128::from(place) << PLACE_SHIFT | VERSION | VARIANT | random))
    }

    /// The fork that a session may be, by its name.
    pub fn of_session(session: &SessionId) -> Option<Self> {
        let name = session.as_str().parse().ok()?;
        (Self::new(name).session() == *session).then_some(Self(name))
    }

    /// The fork that shares this run, and the run's first entry; `None` if the run is not shared.
    pub fn of_run(run: RunId) -> Option<(Self, Seq)> {
        let (fork, first) = (Self::new(run.0), Seq::try_from(run.0.as_u128() >> PLACE_SHIFT).ok()?);
        (fork.run(first) == run).then_some((fork, first))
    }

    /// The session.
    pub fn session(self) -> SessionId {
        self.0.into()
    }

    /// What the run that begins with this entry is called there.
    pub fn run(self, first: Seq) -> RunId {
        RunId(Self::named(self.0.as_u128(), first).0)
    }
}

/// Where a run comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run it is made of.
    pub run: RunId,
    /// That run's session.
    pub session: SessionId,
    /// How many of that run's own messages it begins with, the system message not counted.
    pub messages: usize,
    /// Where it leaves that run, as surfaces count: the system message too.
    pub index: usize,
    /// How it came of it.
    pub way: Way,
}

/// How a run came of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// It goes on from there.
    Continued,
    /// It begins with the steps that the other had finished, and does again what failed.
    Resumed,
    /// It answers the same again.
    Regenerated {
        /// Whether its answer takes the place of the other once it is there.
        replaces: bool,
    },
    /// It is a copy in another session, whole.
    Copied {
        /// Where it comes from within that session: a copy too.
        origin: Option<Box<Origin>>,
    },
}

impl Origin {
    /// The run whose messages come before its own, and how many; those before that run's own come with them.
    pub fn begins_with(&self) -> Option<(RunId, usize)> {
        match &self.way {
            Way::Continued | Way::Regenerated { .. } => Some((self.run, self.messages)),
            Way::Copied { origin } => origin.as_ref().and_then(|origin| origin.begins_with()),
            Way::Resumed => None,
        }
    }

    /// Of a workflow that failed: a run that goes on from there.
    pub fn resuming(run: RunId, session: SessionId) -> Self {
        Self { run, session, messages: 0, index: 0, way: Way::Resumed }
    }

    /// The run whose finished steps it begins with.
    pub fn resumes(&self) -> Option<RunId> {
        (self.way == Way::Resumed).then_some(self.run)
    }

    /// The run whose place it takes once it has an answer.
    pub fn replaces(&self) -> Option<RunId> {
        (self.way == Way::Regenerated { replaces: true }).then_some(self.run)
    }
}

/// A place where a conversation can be cut: no call before it waits for its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cut {
    messages: usize,
    turns: usize,
    steers: usize,
}

impl RunView {
    /// The run whose messages come before its own, and how many of them.
    pub fn begins_with(&self) -> Option<(RunId, usize)> {
        self.origin.as_ref().and_then(Origin::begins_with)
    }

    /// How many of its own messages there are at each place where its conversation can be cut, without the system
    /// message.
    pub fn boundaries(&self) -> Vec<usize> {
        self.cuts().iter().map(|cut| cut.messages).collect()
    }

    /// The run cut to its first messages, to as many as can be kept without a call that has no result. The system
    /// message is not counted.
    #[must_use]
    pub fn cut(mut self, most: usize) -> Self {
        let cut = self.cuts().into_iter().take_while(|cut| cut.messages <= most).last();
        let cut = cut.unwrap_or_default();
        let last = cut.turns.checked_sub(1).and_then(|last| {
            let last = self.said().nth(last)?;
            self.turns.iter().position(|turn| std::ptr::eq(turn, last))
        });
        self.turns.truncate(last.map_or(0, |last| last.saturating_add(1)));
        self.steers.truncate(cut.steers);
        if cut.messages == 0 {
            self.input = Input::default();
        }
        let left: Vec<_> = self.waiting.iter().filter(|call| self.call(call).is_some()).cloned().collect();
        self.waiting = left;
        self
    }

    /// Takes in what is known of the run beside its facts: the status its record has.
    pub fn stands(&mut self, status: Status) {
        if self.status == Status::Pending || status == Status::Replaced {
            self.status = status;
        }
    }

    fn cuts(&self) -> Vec<Cut> {
        let mut at = Cut { messages: usize::from(!self.input.is_empty()), ..Cut::default() };
        let mut cuts = vec![at];
        let join = |at: &mut Cut, cuts: &mut Vec<Cut>| {
            for _ in self.steers_after(at.turns) {
                *at = Cut { messages: at.messages + 1, steers: at.steers + 1, ..*at };
                cuts.push(*at);
            }
        };
        join(&mut at, &mut cuts);
        for turn in self.said() {
            let is_going = turn.answered.is_none() && self.outcome.is_none();
            if is_going || turn.calls.iter().any(|call| call.result.is_none()) {
                break;
            }
            let is_shown = !turn.text.is_empty() || !turn.calls.is_empty();
            at.turns += 1;
            at.messages += usize::from(is_shown) + turn.calls.len();
            if is_shown {
                cuts.push(at);
            }
            join(&mut at, &mut cuts);
        }
        cuts
    }

    /// The last of its first messages: what would be said next depends on it.
    pub fn message_before(&self, cut: usize) -> Option<Message> {
        self.messages().into_iter().take(cut).next_back()
    }
}
