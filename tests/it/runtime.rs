//! The runtime on a store in memory, with models and tools that do as they are told.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

mod databases;
mod forked;
mod once;
mod stage;

use std::time::Duration;

use futures::StreamExt;
use runhold::domain::fact::{Answer, Decision, Entry, Fact, Failure, Outcome, Piece};
use runhold::domain::id::RunId;
use runhold::domain::run::{Answers, Command, Started, Status};
use runhold::domain::tool::Verdict;
use runhold::domain::view::RunView;
use runhold::runtime::{Error, Runtime};
use runhold::store::StoreError;

use self::stage::{Line, Stage, Tape, agent, owner, said, tools};

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("an end in time")
}

async fn finished(runtime: &Runtime, run: RunId) -> RunView {
    soon(runtime.finished(&owner(), run)).await.unwrap()
}

/// Watches until this run is over or waits.
async fn story(runtime: &Runtime, started: &Started) -> Vec<Entry> {
    let tail = runtime.tail(&owner(), &started.session, started.first - 1);
    let mut tail = std::pin::pin!(tail);
    let mut entries = Vec::new();
    while let Some(entry) = soon(tail.next()).await {
        let entry = Entry::clone(&entry.unwrap());
        let is_rest = matches!(entry.fact, Fact::RunFinished { .. } | Fact::Paused { .. });
        let is_own = entry.run == started.run;
        entries.push(entry);
        if is_rest && is_own {
            break;
        }
    }
    entries
}

/// Watches until the model has said so much in this session.
async fn heard(runtime: &Runtime, started: &Started, text: &str) {
    let tail = runtime.tail(&owner(), &started.session, started.first - 1);
    let mut tail = std::pin::pin!(tail);
    let mut so_far = String::new();
    while so_far != text {
        let entry = soon(tail.next()).await.unwrap().unwrap();
        so_far.push_str(&said(&entry));
    }
}

#[tokio::test]
async fn many_pieces_are_told_a_few_at_a_time_and_none_is_left_out() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape, |_| Line::Say(vec!["word "; 500]));
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    finished(&runtime, started.run).await;
    let entries = story(&runtime, &started).await;
    let next = entries.iter().map(|entry| entry.last_seq() + 1);
    assert!(next.zip(entries.iter().skip(1)).all(|(next, entry)| next == entry.seq));
    assert_eq!(entries.iter().map(said).collect::<String>(), "word ".repeat(500));
    assert!(entries.iter().all(|entry| entry.fact.width() <= 32));
}

fn calls_both() -> Line {
    Line::Calls(vec![("c1", "look"), ("c2", "pay")])
}

/// Looks and pays, then says so.
fn pays(asked: &runhold::domain::message::ModelCall) -> Line {
    if stage::results(asked) == 0 { calls_both() } else { Line::Say(vec!["All ", "paid."]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_cut_anywhere_is_driven_to_the_same_end_and_pays_at_most_once() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), pays);
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    let whole = finished(&runtime, started.run).await;
    assert_eq!(
        (whole.text().as_str(), stage.deeds()),
        ("All paid.", vec!["look".to_owned(), "pay".to_owned()])
    );
    let batches = tape.batches();
    for cut in 1..=batches.len() {
        let kept: Vec<Fact> = tape.entries(cut).into_iter().map(|entry| entry.fact).collect();
        let was = |tool: &str| {
            let begun =
                kept.iter().any(|fact| matches!(fact, Fact::ToolStarted { call } if call.as_str() == tool));
            let done = |fact: &Fact| matches!(fact, Fact::ToolFinished { call, .. } if call.as_str() == tool);
            (begun, kept.iter().any(done))
        };
        let mut expected = Vec::new();
        expected.extend((!was("c1").1).then(|| "look".to_owned()));
        expected.extend((!was("c2").0).then(|| "pay".to_owned()));

        let again = Stage::new(Tape::of(&batches[..cut]).await, pays);
        let runtime = again.open().await;
        let view = finished(&runtime, started.run).await;
        assert_eq!(
            (&view.outcome, view.text().as_str()),
            (&Some(Outcome::Completed), "All paid."),
            "cut {cut}"
        );
        assert_eq!(again.deeds(), expected, "cut after {cut} writes");
        let doubted = view.calls().any(|call| call.result.as_ref().unwrap().verdict == Verdict::InDoubt);
        assert_eq!(doubted, was("c2") == (true, false), "cut after {cut} writes");
        let ends = story(&runtime, &started).await;
        let ends = ends.iter().filter(|entry| matches!(entry.fact, Fact::RunFinished { .. })).count();
        assert_eq!(ends, 1);
    }
}

/// Entries with each piece for itself, so that how they were gathered does not show.
fn pieces_apart(entries: &[Entry]) -> Vec<(u64, String)> {
    let mut apart = Vec::new();
    for entry in entries {
        match &entry.fact {
            Fact::Said { pieces } => {
                let each = pieces.iter().enumerate();
                apart.extend(each.map(|(at, piece)| (entry.seq + at as u64, format!("{piece:?}"))));
            }
            fact => apart.push((entry.seq, format!("{fact:?}"))),
        }
    }
    apart
}

async fn watch(runtime: Runtime, started: Started, after: u64, pause: usize) -> Vec<(u64, String)> {
    let tail = runtime.tail(&owner(), &started.session, after);
    let mut tail = std::pin::pin!(tail);
    let mut entries = Vec::new();
    loop {
        let entry = Entry::clone(&soon(tail.next()).await.unwrap().unwrap());
        let is_last = matches!(entry.fact, Fact::RunFinished { .. });
        entries.push(entry);
        if is_last {
            return pieces_apart(&entries);
        }
        for _ in 0..pause {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_see_each_entry_once_wherever_they_join_and_however_slow_they_are() {
    const PIECES: u64 = 700;
    let gate = stage::Gate::default();
    let open = gate.clone();
    let stage = Stage::new(Tape::blank().await, move |_| {
        Line::Slowly((0..PIECES).map(|at| format!("{at} ")).collect(), gate.clone())
    });
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    let live: Vec<_> = (0..58_u64)
        .map(|at| {
            let (after, pause) = (started.first - 1 + at * 12, usize::try_from(at % 3).unwrap() * 20);
            (after, tokio::spawn(watch(runtime.clone(), started.clone(), after, pause)))
        })
        .collect();
    open.open();
    let whole = watch(runtime.clone(), started.clone(), started.first - 1, 0).await;
    let numbers: Vec<u64> = whole.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (started.first..started.first + numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(numbers.len() as u64, PIECES + 5);
    for (after, watcher) in live {
        let expected: Vec<_> = whole.iter().filter(|(seq, _)| *seq > after).cloned().collect();
        assert!(watcher.await.unwrap() == expected, "live, after {after}");
    }
    for after in started.first - 1..started.first + PIECES + 4 {
        let expected: Vec<_> = whole.iter().filter(|(seq, _)| *seq > after).cloned().collect();
        let replayed = watch(runtime.clone(), started.clone(), after, 0).await;
        assert!(replayed == expected, "replayed, after {after}");
    }
}

fn cancel(reason: &str) -> Command {
    Command::Cancel { reason: reason.into() }
}

fn cancelled(reason: &str) -> Option<Outcome> {
    Some(Outcome::Cancelled { reason: reason.into() })
}

#[tokio::test]
async fn a_run_can_be_cancelled_before_the_first_piece_after_it_and_in_a_tool_and_keeps_what_was_said() {
    for (line, text) in [
        (Line::Hang(vec![]), ""),
        (Line::Hang(vec!["Half ", "an"]), "Half an"),
        (Line::SayThenCall("I wait. ", "c1", "hang"), "I wait. "),
    ] {
        let in_tool = matches!(line, Line::SayThenCall(..));
        let stage = Stage::new(Tape::blank().await, move |_| line.clone());
        let runtime = stage.open().await;
        let started = stage.start(&runtime, "s1").await;
        heard(&runtime, &started, text).await;
        if in_tool {
            stage.wait_for_deeds(1).await;
        }
        runtime.tell(&owner(), started.run, cancel("enough")).await.unwrap();
        let view = finished(&runtime, started.run).await;
        assert_eq!((&view.outcome, view.text().as_str()), (&cancelled("enough"), text));
        let late = runtime.tell(&owner(), started.run, cancel("again")).await;
        assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
    }
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_can_be_cancelled_and_the_one_before_it_goes_on() {
    let gate = stage::Gate::default();
    let open = gate.clone();
    let stage = Stage::new(Tape::blank().await, move |_| Line::Slowly(vec!["Done.".into()], gate.clone()));
    let runtime = stage.open().await;
    let (first, second) = (stage.start(&runtime, "s1").await, stage.start(&runtime, "s1").await);
    assert_eq!((first.queued, second.queued), (false, true));
    runtime.tell(&owner(), second.run, cancel("not needed")).await.unwrap();
    assert_eq!(finished(&runtime, second.run).await.outcome, cancelled("not needed"));
    open.open();
    assert_eq!(finished(&runtime, first.run).await.outcome, Some(Outcome::Completed));
}

#[tokio::test]
async fn a_tool_that_panics_is_a_failed_call_and_the_run_goes_on() {
    let stage = Stage::new(Tape::blank().await, |asked| {
        if stage::results(asked) == 0 {
            Line::Calls(vec![("c1", "panic")])
        } else {
            Line::Say(vec!["So be it."])
        }
    });
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    let view = finished(&runtime, started.run).await;
    let results: Vec<_> = view.calls().map(|call| call.result.clone().unwrap()).collect();
    assert_eq!(
        results,
        [runhold::domain::tool::ToolResult::failed("the tool failed in a way it should not")]
    );
    assert_eq!((view.outcome.clone(), view.text().as_str()), (Some(Outcome::Completed), "So be it."));
}

#[tokio::test]
async fn a_model_that_panics_or_never_ends_fails_its_run_and_the_session_goes_on() {
    let internal = Failure::new("internal", "the model's adapter failed");
    let limit = Failure::new("limit", "the run reached the limit of 2 seconds");
    for (line, failure) in [
        (Line::Panic, internal.clone()),
        (Line::PanicAfter("Half"), internal),
        (Line::Hang(vec!["Half"]), limit),
        (Line::Cut("Half"), Failure::new("truncated", "the model's answer has no end").retryable()),
    ] {
        let stage = Stage::new(Tape::blank().await, move |asked| {
            if stage::last_input(asked) == "first" { line.clone() } else { Line::Say(vec!["Here."]) }
        });
        let runtime = stage.open().await;
        let started = stage.order(&runtime, "s1", "first").await.unwrap();
        assert_eq!(finished(&runtime, started.run).await.outcome, Some(Outcome::Failed(failure)));
        let next = stage.order(&runtime, "s1", "second").await.unwrap();
        assert_eq!(finished(&runtime, next.run).await.text(), "Here.");
    }
}

#[tokio::test]
async fn a_start_that_cannot_be_stored_is_refused_and_leaves_nothing_behind() {
    for error in [StoreError::Full, StoreError::Unavailable("gone".into())] {
        let tape = Tape::blank().await;
        // The model hangs: a refusal does not wait for it.
        let stage = Stage::new(tape.clone(), |_| Line::Silence);
        let runtime = stage.open().await;
        tape.fail_with(Some(error));
        let refused = soon(stage.order(&runtime, "s1", "Go")).await;
        assert!(matches!(refused, Err(Error::Full | Error::Unavailable(_))), "{refused:?}");
        tape.fail_with(None);
        assert_eq!(tape.batches().len(), 0);
        let session = runtime.session(&owner(), &"s1".parse().unwrap()).await;
        assert!(matches!(session, Err(Error::NoSession(_))));
        assert_eq!(runtime.stop(PATIENCE).await, 0);
    }
}

#[tokio::test]
async fn a_run_waits_for_a_store_that_is_away_and_goes_on_when_it_is_back() {
    let gate = stage::Gate::default();
    let open = gate.clone();
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), move |_| {
        Line::Slowly(vec!["Whole ".into(), "and ".into(), "well.".into()], gate.clone())
    });
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    tape.fail_with(Some(StoreError::Full));
    open.open();
    soon(tape.refused(2)).await;
    tape.fail_with(None);
    let view = finished(&runtime, started.run).await;
    assert_eq!((view.outcome.clone(), view.text().as_str()), (Some(Outcome::Completed), "Whole and well."));
    assert_eq!(pieces_apart(&story(&runtime, &started).await).len(), 8);
}

#[tokio::test]
async fn a_run_that_makes_more_than_can_be_stored_ends_with_an_error() {
    let large = "x".repeat(5 * 1024 * 1024);
    let stage = Stage::new(Tape::blank().await, move |_| Line::SayText(large.clone()));
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    let view = soon(runtime.finished(&owner(), started.run)).await.unwrap();
    let failure = Failure::new("internal", "the run made more at once than can be stored");
    assert_eq!((view.outcome, view.status), (Some(Outcome::Failed(failure)), Status::Failed));
}

#[tokio::test]
async fn a_stop_lets_runs_end_refuses_new_ones_and_leaves_the_rest_to_the_next_start() {
    let gate = stage::Gate::default();
    let tape = Tape::blank().await;
    let held = gate.clone();
    let stage = Stage::new(tape.clone(), move |_| Line::Slowly(vec!["Done.".into()], held.clone()));
    let runtime = stage.open().await;
    let (first, second) = (stage.start(&runtime, "s1").await, stage.start(&runtime, "s1").await);
    let waiting = tokio::spawn({
        let (runtime, run) = (runtime.clone(), second.run);
        async move { runtime.finished(&owner(), run).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(runtime.stop(Duration::from_millis(50)).await, 1);
    let refused = stage.order(&runtime, "s2", "Go").await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    let told = soon(waiting).await.unwrap();
    assert!(matches!(told, Err(Error::Unavailable(_))), "{told:?}");

    let copy = Stage::new(Tape::of(&tape.batches()).await, |_| Line::Say(vec!["Done."]));
    let reopened = copy.open().await;
    for run in [first.run, second.run] {
        assert_eq!(finished(&reopened, run).await.text(), "Done.");
    }
    assert_eq!(reopened.stop(PATIENCE).await, 0);
    gate.open();
}

#[tokio::test]
async fn whoever_waits_for_a_run_hears_when_its_session_is_deleted() {
    let stage = Stage::new(Tape::blank().await, |asked| match stage::last_input(asked).as_str() {
        "tool" => Line::Calls(vec![("c1", "hang")]),
        _ => Line::Say(vec!["New."]),
    });
    let runtime = stage.open().await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let run = stage.order(&runtime, "s1", "tool").await.unwrap().run;
        let runtime = runtime.clone();
        waiting.push(tokio::spawn(async move { runtime.finished(&owner(), run).await }));
    }
    stage.wait_for_deeds(1).await;
    tokio::task::yield_now().await;
    runtime.delete_session(&owner(), &"s1".parse().unwrap(), None).await.unwrap();
    for waiter in waiting {
        let told = soon(waiter).await.unwrap();
        assert!(matches!(told, Err(Error::NoSession(_) | Error::NoRun(_))), "{told:?}");
    }
    let next = stage.order(&runtime, "s1", "Again").await.unwrap();
    assert_eq!(finished(&runtime, next.run).await.text(), "New.");
    assert_eq!(runtime.runs(&owner(), &next.session).await.unwrap().len(), 1);
    assert_eq!(runtime.stop(PATIENCE).await, 0);
}

#[tokio::test]
async fn a_session_made_again_between_two_deletions_at_once_is_whole() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), |_| Line::Say(vec!["Said."]));
    let runtime = stage.open().await;
    let old = stage.start(&runtime, "s1").await;
    finished(&runtime, old.run).await;
    let delete = || {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.delete_session(&owner(), &"s1".parse().unwrap(), None).await })
    };
    let held = tape.hold_lists().await;
    let (one, other) = (delete(), delete());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // One of them takes the session away; the other has waited for that, and must not go on.
    drop(held);
    let held = tape.hold_lists().await;
    soon(one).await.unwrap().unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let new = stage.start(&runtime, "s1").await;
    drop(held);
    soon(other).await.unwrap().unwrap();
    assert_eq!(finished(&runtime, new.run).await.text(), "Said.");
    let runs = runtime.runs(&owner(), &new.session).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [new.run]);
    assert_eq!(runtime.stop(PATIENCE).await, 0);
}

fn approves(run: RunId, call: &str) -> Command {
    let decision = Decision::Approved { values: Default::default() };
    Command::Answer(Answers::of_calls(run, vec![Answer { call: call.parse().unwrap(), decision }]))
}

/// Asks for a call that needs leave, then says so.
fn asks_leave(asked: &runhold::domain::message::ModelCall) -> Line {
    if stage::results(asked) == 0 {
        Line::Calls(vec![("c1", "look"), ("c2", "launch")])
    } else {
        Line::Say(vec!["Launched."])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_who_answer_at_once_one_is_heard_and_the_call_is_made_once() {
    for _ in 0..30 {
        let stage = Stage::new(Tape::blank().await, asks_leave);
        let runtime = stage.open().await;
        let started = stage.start(&runtime, "s1").await;
        story(&runtime, &started).await;
        let answer = || {
            let (runtime, run) = (runtime.clone(), started.run);
            tokio::spawn(async move { runtime.tell(&owner(), run, approves(run, "c2")).await })
        };
        let (one, other) = (answer(), answer());
        let told = [one.await.unwrap(), other.await.unwrap()];
        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "{told:?}");
        assert_eq!(finished(&runtime, started.run).await.text(), "Launched.");
        assert_eq!(stage.deeds(), ["look", "launch"]);
    }
}

#[tokio::test]
async fn an_answer_that_was_taken_is_stored() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), asks_leave);
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    story(&runtime, &started).await;
    let stranger = runtime.tell(&owner(), started.run, approves(started.run, "c9")).await;
    assert!(matches!(stranger, Err(Error::Conflict(_))), "{stranger:?}");
    runtime.tell(&owner(), started.run, approves(started.run, "c2")).await.unwrap();
    let stored = tape.entries(tape.batches().len());
    assert!(stored.iter().any(|entry| matches!(entry.fact, Fact::Resumed { .. })));
}

#[tokio::test]
async fn a_run_that_waits_for_somebody_can_be_cancelled_and_its_call_is_never_made() {
    let stage = Stage::new(Tape::blank().await, asks_leave);
    let runtime = stage.open().await;
    let started = stage.start(&runtime, "s1").await;
    story(&runtime, &started).await;
    runtime.tell(&owner(), started.run, cancel("no")).await.unwrap();
    assert_eq!(finished(&runtime, started.run).await.outcome, cancelled("no"));
    assert_eq!(stage.deeds(), ["look"]);
}

/// Starts a run and then waits for it, stops it, or deletes its session.
async fn meddle(stage: &Stage, runtime: &Runtime, number: u32) {
    let session = format!("s{}", number % 3);
    let started = match stage.order(runtime, &session, "Go").await {
        Ok(started) => started,
        Err(error) => return assert!(matches!(error, Error::NoSession(_) | Error::Busy { .. }), "{error:?}"),
    };
    match number % 7 {
        0 | 3 => drop(runtime.tell(&owner(), started.run, cancel("enough")).await),
        5 => soon(runtime.delete_session(&owner(), &started.session, None)).await.unwrap(),
        _ => {}
    }
    match soon(runtime.finished(&owner(), started.run)).await {
        Ok(view) => assert!(view.status.is_over(), "{view:#?}"),
        Err(error) => assert!(matches!(error, Error::NoSession(_) | Error::NoRun(_)), "{error:?}"),
    }
}

/// Whether runs of a log were driven one after the other; those cancelled before their turn do not count.
fn one_at_a_time(entries: &[Entry]) -> bool {
    let mut current = None;
    entries.iter().all(|entry| match &entry.fact {
        Fact::RunPrepared { .. } => current.replace(entry.run).is_none(),
        Fact::RunFinished { .. } if current == Some(entry.run) => current.take().is_some(),
        _ => true,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_left_waiting_however_runs_are_started_stopped_and_deleted_at_once() {
    let tape = Tape::blank().await;
    let stage = std::sync::Arc::new(Stage::new(tape.clone(), pays));
    let runtime = stage.open().await;
    let meddlers: Vec<_> = (0..400)
        .map(|number| {
            let (stage, runtime) = (stage.clone(), runtime.clone());
            tokio::spawn(async move { meddle(&stage, &runtime, number).await })
        })
        .collect();
    for meddler in meddlers {
        meddler.await.unwrap();
    }
    assert_eq!(runtime.stop(PATIENCE).await, 0);
    for session in ["s0", "s1", "s2"] {
        let id = session.parse().unwrap();
        for run in runtime.runs(&owner(), &id).await.unwrap_or_default() {
            assert!(run.status.is_over(), "{run:?}");
        }
        let entries = tape.log(session).await;
        assert!(one_at_a_time(&entries), "{entries:#?}");
    }
}

#[tokio::test]
async fn the_agent_of_these_tests_has_the_tools_they_name() {
    let stage = Stage::new(Tape::blank().await, |_| Line::Silence);
    let runtime = stage.open().await;
    let workspace = runtime.workspace(&owner()).await.unwrap();
    let names: Vec<_> = workspace.toolbox_of(&agent()).specs().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, tools());
    let pieces = vec![Piece::Text("a".into()), Piece::Reasoning("b".into())];
    let entry =
        Entry { seq: 1, run: RunId(uuid::Uuid::nil()), at: runtime.now(), fact: Fact::Said { pieces } };
    assert_eq!(said(&entry), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_log_is_damaged_ends_as_failed_at_the_next_start_and_its_session_goes_on() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), |asked| match stage::last_input(asked).as_str() {
        "Go" => Line::Silence,
        _ => Line::Say(vec!["On we go."]),
    });
    let first = stage.open().await;
    let started = stage.start(&first, "s1").await;
    heard(&first, &started, "").await;
    let after = Tape::of(&tape.batches()).await;
    after.damage("s1");
    let stage = stage.with(after);
    let runtime = stage.open().await;
    let run = runtime.run(&owner(), started.run).await.unwrap();
    assert_eq!(
        (run.status, run.failure.map(|failure| failure.code)),
        (Status::Failed, Some("internal".into()))
    );
    let next = stage.order(&runtime, "s1", "And then?").await.unwrap();
    assert_eq!(finished(&runtime, next.run).await.text(), "On we go.");
    assert_eq!(runtime.runs(&owner(), &started.session).await.unwrap().len(), 2);
    let once_more = stage.open().await.run(&owner(), started.run).await.unwrap();
    assert_eq!(once_more.status, Status::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_a_power_cut_may_have_eaten_are_never_used_again() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), |_| Line::Hang(vec!["Half ", "an "]));
    let first = stage.open().await;
    let started = stage.start(&first, "s1").await;
    heard(&first, &started, "Half an ").await;
    let shown = tape.log("s1").await.last().unwrap().last_seq();
    // The pieces were not synced: they are gone.
    let durable: Vec<_> = tape.batches().into_iter().filter(|batch| !batch.puts.is_empty()).collect();
    let after = Tape::of(&durable).await;
    let told = Stage::new(after.clone(), |_| Line::Say(vec!["A whole answer."]));
    let runtime = told.open_after_power_cut().await;
    assert_eq!(finished(&runtime, started.run).await.text(), "A whole answer.");
    let log = after.log("s1").await;
    let known =
        durable.iter().filter_map(|batch| batch.append.as_ref()).flat_map(|append| &append.entries).count();
    assert!(matches!(log[known].fact, Fact::Lost { .. }), "{log:?}");
    assert!(log[known + 1..].iter().all(|entry| entry.seq > shown));
}
