//! Names of events: those told here, and those that clients may name in filters though nothing here has them.

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `session.started`
    SessionStarted,
    /// `input.message`
    InputMessage,
    /// `session.activated`
    SessionActivated,
    /// `turn.started`
    TurnStarted,
    /// `reason.started`
    ReasonStarted,
    /// `reason.recovered`
    ReasonRecovered,
    /// `output.message.started`
    OutputStarted,
    /// `output.message.delta`
    OutputDelta,
    /// `reason.thinking.started`
    ThinkingStarted,
    /// `reason.thinking.delta`
    ThinkingDelta,
    /// `reason.thinking.completed`
    ThinkingCompleted,
    /// `llm.generation`
    Generation,
    /// `output.message.completed`
    OutputCompleted,
    /// `reason.completed`
    ReasonCompleted,
    /// `act.started`
    ActStarted,
    /// `tool.started`
    ToolStarted,
    /// `tool.call_requested`
    ToolCallRequested,
    /// `tool.completed`
    ToolCompleted,
    /// `act.completed`
    ActCompleted,
    /// `turn.completed`
    TurnCompleted,
    /// `turn.failed`
    TurnFailed,
    /// `turn.cancelled`
    TurnCancelled,
    /// `session.idled`
    SessionIdled,
}

/// All that are told here.
pub const ALL: [Kind; 23] = [
    Kind::SessionStarted,
    Kind::InputMessage,
    Kind::SessionActivated,
    Kind::TurnStarted,
    Kind::ReasonStarted,
    Kind::ReasonRecovered,
    Kind::OutputStarted,
    Kind::OutputDelta,
    Kind::ThinkingStarted,
    Kind::ThinkingDelta,
    Kind::ThinkingCompleted,
    Kind::Generation,
    Kind::OutputCompleted,
    Kind::ReasonCompleted,
    Kind::ActStarted,
    Kind::ToolStarted,
    Kind::ToolCallRequested,
    Kind::ToolCompleted,
    Kind::ActCompleted,
    Kind::TurnCompleted,
    Kind::TurnFailed,
    Kind::TurnCancelled,
    Kind::SessionIdled,
];

/// Names that Everruns has and nothing here tells.
const OTHERS: [&str; 16] = [
    "tool.progress",
    "tool.output.delta",
    "tool.call_repaired",
    "transcript.repaired",
    "output.message.replaced",
    "capability.usage",
    "context.compacting",
    "context.compacted",
    "context.skipped",
    "context.failed",
    "file.written",
    "schedule.triggered",
    "session.title.updated",
    "session.model.changed",
    "turn.sealed",
    "reason.item",
];

/// Groups of such names.
const OTHER_GROUPS: [&str; 3] = ["budget.", "task.", "voice."];

impl Kind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::SessionStarted => "session.started",
            Self::InputMessage => "input.message",
            Self::SessionActivated => "session.activated",
            Self::TurnStarted => "turn.started",
            Self::ReasonStarted => "reason.started",
            Self::ReasonRecovered => "reason.recovered",
            Self::OutputStarted => "output.message.started",
            Self::OutputDelta => "output.message.delta",
            Self::ThinkingStarted => "reason.thinking.started",
            Self::ThinkingDelta => "reason.thinking.delta",
            Self::ThinkingCompleted => "reason.thinking.completed",
            Self::Generation => "llm.generation",
            Self::OutputCompleted => "output.message.completed",
            Self::ReasonCompleted => "reason.completed",
            Self::ActStarted => "act.started",
            Self::ToolStarted => "tool.started",
            Self::ToolCallRequested => "tool.call_requested",
            Self::ToolCompleted => "tool.completed",
            Self::ActCompleted => "act.completed",
            Self::TurnCompleted => "turn.completed",
            Self::TurnFailed => "turn.failed",
            Self::TurnCancelled => "turn.cancelled",
            Self::SessionIdled => "session.idled",
        }
    }
}

/// What a filter names: a kind, or one that nothing here has. `None` if nobody knows the name.
pub fn named(name: &str) -> Option<Option<Kind>> {
    let own = ALL.into_iter().find(|kind| kind.name() == name);
    let other = || OTHERS.contains(&name) || OTHER_GROUPS.iter().any(|group| name.starts_with(group));
    own.map(Some).or_else(|| other().then_some(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in ALL {
            assert_eq!(named(kind.name()), Some(Some(kind)));
        }
        assert_eq!(named("tool.progress"), Some(None));
        assert_eq!(named("budget.exceeded"), Some(None));
        assert_eq!(named("tool.nothing"), None);
    }
}
