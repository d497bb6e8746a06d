//! Sessions made of others: one small write, nothing copied, and neither needs the other to stay.

use std::collections::BTreeSet;

use runhold::domain::fact::Seq;
use runhold::domain::fork::{Origin, Way};
use runhold::domain::id::{Owner, SessionId};
use runhold::domain::message::{Message, ModelCall};
use runhold::domain::run::Run;
use runhold::runtime::Claim;
use runhold::store::{Batch, Log, Store};

use super::*;

/// Says again all that it was asked, so that an answer tells what was shown.
fn recalls(asked: &ModelCall) -> Line {
    let inputs = asked.messages.iter().filter_map(|message| match message {
        Message::User { input } => Some(input.text.clone()),
        _ => None,
    });
    Line::SayText(inputs.collect::<Vec<_>>().join(" "))
}

async fn ask(stage: &Stage, runtime: &Runtime, session: &str, text: &str) -> RunView {
    let started = stage.order(runtime, session, text).await.unwrap();
    finished(runtime, started.run).await
}

async fn fork(runtime: &Runtime, session: &str) -> String {
    let forked = runtime.fork_session(&owner(), &id(session), Claim::none()).await;
    forked.unwrap().as_str().to_owned()
}

async fn delete(runtime: &Runtime, session: &str) {
    runtime.delete_session(&owner(), &id(session), None).await.unwrap();
}

fn id(session: &str) -> SessionId {
    session.parse().unwrap()
}

async fn is_unknown(runtime: &Runtime, owner: &Owner, run: RunId) -> bool {
    matches!(runtime.run(owner, run).await, Err(Error::NoRun(unknown)) if unknown == run)
}

/// The answers of a session's runs, oldest first.
async fn answers(runtime: &Runtime, session: &str) -> Vec<String> {
    let mut answers = Vec::new();
    for run in runtime.runs(&owner(), &id(session)).await.unwrap() {
        let same = runtime.run(&owner(), run.id).await.unwrap();
        assert_eq!((&same, same.session.as_str()), (&run, session), "found by its name as in the list");
        let view = runtime.view(&owner(), &run).await.unwrap();
        assert_eq!((view.run, view.session.as_str()), (run.id, session));
        answers.push(view.text());
    }
    answers
}

/// The log of a session as it is watched, up to this number.
async fn watched(runtime: &Runtime, session: &str, upto: Seq) -> Vec<Entry> {
    let tail = runtime.tail(&owner(), &id(session), 0);
    let mut tail = std::pin::pin!(tail);
    let mut entries: Vec<Entry> = Vec::new();
    while entries.last().is_none_or(|last| last.last_seq() < upto) {
        entries.push(Entry::clone(&soon(tail.next()).await.unwrap().unwrap()));
    }
    entries
}

async fn head(tape: &Tape, session: &str) -> Seq {
    tape.head(&Log { owner: owner(), session: id(session) }).await.unwrap()
}

/// All records and logs that were ever written and are still there.
async fn remains(tape: &Tape) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for Batch { append, puts, .. } in tape.batches() {
        for put in puts {
            if tape.get(&put.key).await.unwrap().is_some() {
                found.insert(put.key.to_string());
            }
        }
        if let Some(append) = append
            && tape.head(&append.log).await.unwrap() > 0
        {
            found.insert(append.log.session.to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_of_two_thousand_runs_is_one_small_write_and_reads_like_its_source() {
    const RUNS: usize = 2_000;
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), recalls);
    let runtime = stage.open().await;
    for _ in 0..RUNS {
        ask(&stage, &runtime, "s", "Go").await;
    }
    let before = tape.batches().len();
    let fork = fork(&runtime, "s").await;
    let written = tape.batches().split_off(before);
    let [Batch { append: Some(append), puts, deletes, forget }] = written.as_slice() else {
        panic!("{} batches", written.len())
    };
    assert_eq!((append.entries.len(), deletes.len(), forget.len()), (1, 0, 0));
    let kinds: Vec<&str> = puts.iter().map(|put| put.key.kind.0).collect();
    assert_eq!(kinds, ["session", "hold"]);
    assert!(puts.iter().map(|put| put.body.len()).sum::<usize>() < 1_000);
    let (source, forked) = (all(&runtime, "s").await, all(&runtime, &fork).await);
    let places = |runs: &[Run]| runs.iter().map(|run| (run.first, run.last, run.status)).collect::<Vec<_>>();
    assert_eq!((places(&forked), forked.len()), (places(&source), RUNS));
    let names = |runs: &[Run]| runs.iter().map(|run| run.id).collect::<BTreeSet<_>>();
    assert!(names(&source).is_disjoint(&names(&forked)), "runs of the fork have names of their own");
    assert_eq!(names(&forked).len(), RUNS);
}

async fn all(runtime: &Runtime, session: &str) -> Vec<Run> {
    runtime.runs(&owner(), &id(session)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forks_of_forks_share_all_that_was_before_and_go_on_from_its_number() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), recalls);
    let runtime = stage.open().await;
    ask(&stage, &runtime, "s", "a").await;
    let one = fork(&runtime, "s").await;
    ask(&stage, &runtime, "s", "not this").await;
    ask(&stage, &runtime, &one, "b").await;
    let two = fork(&runtime, &one).await;
    let three = fork(&runtime, &two).await;
    ask(&stage, &runtime, &one, "nor this").await;
    ask(&stage, &runtime, &three, "c").await;
    assert_eq!(answers(&runtime, &one).await, ["a", "a b", "a b nor this"]);
    assert_eq!(answers(&runtime, &two).await, ["a", "a b"]);
    assert_eq!(answers(&runtime, &three).await, ["a", "a b", "a b c"]);
    let entries = watched(&runtime, &three, head(&tape, &three).await).await;
    let seqs: Vec<Seq> = entries.iter().map(|entry| entry.seq).collect();
    let next = entries.iter().map(|entry| entry.last_seq() + 1);
    assert!(next.zip(&seqs[1..]).all(|(next, seq)| next == *seq), "{seqs:?}");
    assert_eq!(entries.iter().map(said).collect::<String>(), "aa ba b c");
    let ids: BTreeSet<RunId> = all(&runtime, &three).await.iter().map(|run| run.id).collect();
    assert_eq!(entries.iter().map(|entry| entry.run).collect::<BTreeSet<_>>(), ids);
    let origins = |runs: Vec<Run>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
    let (of_two, of_three) = (origins(all(&runtime, &two).await), all(&runtime, &three).await);
    for (run, from) in of_three.iter().zip(of_two) {
        let origin = runtime.view(&owner(), run).await.unwrap().origin.unwrap();
        assert_eq!((origin.run, origin.session, origin.messages), (from, id(&two), 2));
    }
    let last = &of_three[2];
    assert_eq!(runtime.view(&owner(), last).await.unwrap().history, [of_three[0].id, of_three[1].id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shared_stays_until_the_last_session_that_reads_it_is_gone() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), recalls);
    let runtime = stage.open().await;
    let first = ask(&stage, &runtime, "s", "a").await;
    let one = fork(&runtime, "s").await;
    ask(&stage, &runtime, &one, "b").await;
    let two = fork(&runtime, &one).await;
    delete(&runtime, "s").await;
    assert!(is_unknown(&runtime, &owner(), first.run).await);
    assert!(matches!(runtime.runs(&owner(), &id("s")).await, Err(Error::NoSession(_))));
    assert_eq!(answers(&runtime, &one).await, ["a", "a b"]);
    let shared = all(&runtime, &one).await[1].id;
    delete(&runtime, &one).await;
    assert!(is_unknown(&runtime, &owner(), shared).await);
    assert_eq!(answers(&runtime, &two).await, ["a", "a b"]);
    let runtime = stage.open().await;
    assert_eq!(ask(&stage, &runtime, &two, "c").await.text(), "a b c");
    delete(&runtime, &two).await;
    assert_eq!(remains(&tape).await, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_named_like_one_that_is_gone_sees_nothing_of_it() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), recalls);
    let runtime = stage.open().await;
    ask(&stage, &runtime, "s", "old").await;
    let of_old = fork(&runtime, "s").await;
    delete(&runtime, "s").await;
    assert_eq!(ask(&stage, &runtime, "s", "new").await.text(), "new");
    let of_new = fork(&runtime, "s").await;
    let entries = watched(&runtime, "s", head(&tape, "s").await).await;
    assert_eq!(entries.iter().map(said).collect::<String>(), "new");
    assert_eq!(answers(&runtime, "s").await, ["new"]);
    delete(&runtime, &of_old).await;
    assert_eq!(answers(&runtime, &of_new).await, ["new"]);
    assert_eq!(ask(&stage, &runtime, "s", "more").await.text(), "new more");
    delete(&runtime, "s").await;
    assert_eq!(ask(&stage, &runtime, &of_new, "else").await.text(), "new else");
    delete(&runtime, &of_new).await;
    assert_eq!(remains(&tape).await, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_stays_with_the_source_alone() {
    let tape = Tape::blank().await;
    let launches = |asked: &ModelCall| match stage::last_input(asked).as_str() {
        "launch" if stage::results(asked) == 0 => Line::Calls(vec![("c", "launch")]),
        _ => recalls(asked),
    };
    let stage = Stage::new(tape.clone(), launches);
    let runtime = stage.open().await;
    ask(&stage, &runtime, "s", "a").await;
    let waiting = ask(&stage, &runtime, "s", "launch").await;
    assert_eq!(waiting.status, Status::Paused);
    let forked = fork(&runtime, "s").await;
    let yes =
        Answer { call: "c".parse().unwrap(), decision: Decision::Approved { values: Default::default() } };
    let answer = Command::Answer(Answers::of_calls(waiting.run, vec![yes]));
    runtime.tell(&owner(), waiting.run, answer).await.unwrap();
    assert_eq!(finished(&runtime, waiting.run).await.status, Status::Completed);
    assert_eq!(answers(&runtime, "s").await, ["a", "a launch"]);
    assert_eq!(ask(&stage, &runtime, &forked, "b").await.text(), "a b");
    assert_eq!(answers(&runtime, &forked).await, ["a", "a b"]);
    let told = watched(&runtime, &forked, head(&tape, &forked).await).await;
    let runs: BTreeSet<RunId> = told.iter().map(|entry| entry.run).collect();
    assert_eq!(runs, all(&runtime, &forked).await.iter().map(|run| run.id).collect());
}

async fn replace(runtime: &Runtime, run: &Run, text: &str) -> RunView {
    let order = stage::order(Some(run.session.as_str()), text);
    let way = Way::Regenerated { replaces: true };
    let origin = Origin { run: run.id, session: run.session.clone(), messages: 0, index: 0, way };
    let started = runtime.fork_once(&owner(), order, origin, Claim::none()).await.unwrap();
    finished(runtime, started.run).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_replaced_later_is_replaced_where_that_happened_and_in_its_forks() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), recalls);
    let runtime = stage.open().await;
    ask(&stage, &runtime, "s", "a").await;
    let one = fork(&runtime, "s").await;
    let run = all(&runtime, "s").await.remove(0);
    replace(&runtime, &run, "A").await;
    let statuses =
        async |session: &str| all(&runtime, session).await.iter().map(|run| run.status).collect::<Vec<_>>();
    assert_eq!(statuses("s").await, [Status::Replaced, Status::Completed]);
    assert_eq!(statuses(&one).await, [Status::Completed]);
    let before = fork(&runtime, &one).await;
    let run = all(&runtime, &one).await.remove(0);
    replace(&runtime, &run, "B").await;
    let after = fork(&runtime, &one).await;
    for (session, expected) in [(&one, "B c"), (&before, "a c"), (&after, "B c")] {
        assert_eq!(ask(&stage, &runtime, session, "c").await.text(), expected);
    }
    assert_eq!(statuses(&after).await, [Status::Replaced, Status::Completed, Status::Completed]);
    for session in ["s", &one, &before, &after] {
        delete(&runtime, session).await;
    }
    assert_eq!(remains(&tape).await, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_server_was_cut_forks_are_whole_and_what_is_deleted_again_leaves_nothing() {
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), recalls);
    let runtime = stage.open().await;
    ask(&stage, &runtime, "s", "a").await;
    let begun = tape.batches().len();
    let one = fork(&runtime, "s").await;
    let forked = tape.batches().len();
    ask(&stage, &runtime, &one, "b").await;
    let two = fork(&runtime, &one).await;
    let both = tape.batches().len();
    delete(&runtime, "s").await;
    delete(&runtime, &one).await;
    let deleting = tape.batches().len();
    delete(&runtime, &two).await;
    let batches = tape.batches();
    for cut in begun..=batches.len() {
        let tape = Tape::of(&batches[..cut]).await;
        let stage = Stage::new(tape.clone(), recalls);
        let runtime = stage.open().await;
        if cut >= forked && cut < both {
            let of_one = all(&runtime, &one).await;
            for run in &of_one {
                finished(&runtime, run.id).await;
            }
            assert_eq!(answers(&runtime, &one).await, ["a", "a b"][..of_one.len()], "cut {cut}");
        }
        if cut >= both && cut <= deleting {
            assert_eq!(answers(&runtime, &two).await, ["a", "a b"], "cut {cut}");
        }
        for session in [&two, "s", &one] {
            delete(&runtime, session).await;
        }
        assert_eq!(remains(&tape).await, BTreeSet::new(), "cut {cut} of {}", batches.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_share_a_log_may_be_deleted_all_at_once() {
    for _ in 0..20 {
        let tape = Tape::blank().await;
        let stage = Stage::new(tape.clone(), recalls);
        let runtime = stage.open().await;
        ask(&stage, &runtime, "s", "a").await;
        let one = fork(&runtime, "s").await;
        ask(&stage, &runtime, &one, "b").await;
        let two = fork(&runtime, &one).await;
        let three = fork(&runtime, "s").await;
        let gone = ["s", &one, &two, &three].map(|session| {
            let (runtime, session) = (runtime.clone(), session.to_owned());
            tokio::spawn(async move { delete(&runtime, &session).await })
        });
        for gone in gone {
            soon(gone).await.unwrap();
        }
        assert_eq!(remains(&tape).await, BTreeSet::new());
    }
}

#[tokio::test]
async fn a_session_nobody_knows_or_somebody_elses_is_not_forked() {
    let stage = Stage::new(Tape::blank().await, recalls);
    let runtime = stage.open().await;
    ask(&stage, &runtime, "s", "a").await;
    let forked = fork(&runtime, "s").await;
    let other: Owner = "other".parse().unwrap();
    for name in ["s", &forked] {
        let refused = runtime.fork_session(&other, &id(name), Claim::none()).await;
        assert!(matches!(refused, Err(Error::NoSession(_))));
    }
    let shared = all(&runtime, &forked).await[0].id;
    assert!(is_unknown(&runtime, &other, shared).await);
    let missing = runtime.fork_session(&owner(), &id("x"), Claim::none()).await;
    assert!(matches!(missing, Err(Error::NoSession(_))));
}
