//! What a workflow's machine decides costs about the same in a long loop as in a short one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runhold::domain::Object;
use runhold::domain::fact::{Outcome, RunOptions, RunStart};
use runhold::domain::id::RunId;
use runhold::domain::message::Input;
use runhold::domain::spec::{OnError, OnReject, Spec, StepAction, StepSpec, WorkflowSpec};
use runhold::domain::step::StepOutput;
use runhold::domain::time::Timestamp;
use runhold::domain::tool::Gate;
use runhold::machine::{Machine, News, Step};

use crate::promise::Order;

/// Of one step each: more would be more than a run may begin.
const LONG: u32 = 490;
const SHORT: u32 = 49;

/// So many long loops, and as many short ones.
pub(crate) async fn loops(order: Order) -> String {
    let (mut short, mut long) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..order.count {
        short += went_round(SHORT);
        long += went_round(LONG);
    }
    let each = |time: Duration, times: u32| time / times / u32::try_from(order.count.max(1)).unwrap();
    format!(
        "an iteration was decided in {:?} in loops of {SHORT}, and in {:?} in loops of {LONG}",
        each(short, SHORT),
        each(long, LONG)
    )
}

/// How long a machine took to go round so often, with an expression after each iteration.
fn went_round(times: u32) -> Duration {
    let steps = vec![step("a", StepAction::Agent("a".parse().unwrap()))];
    let until = Some(format!("iteration >= {times} or steps.a.content == 'stop'"));
    let around = step("l", StepAction::Loop { steps, until, max_iterations: times });
    let run = RunId(uuid::Uuid::from_u128(9));
    let mut machine = Machine::accept(run, Timestamp(1), &start(vec![around])).unwrap();
    let began = Instant::now();
    tell(
        &mut machine,
        News::Prepared {
            system: None,
            state: Object::new(),
            stored: Object::new(),
            history: vec![],
            kept: vec![],
        },
    );
    while let Step::RunSteps(orders) = machine.next() {
        let [order] = &orders[..] else { panic!("one step at a time, not {orders:?}") };
        let output = StepOutput { content: "on".into(), ..StepOutput::default() };
        tell(&mut machine, News::StepFinished { step: order.place.step.clone(), output, state: vec![] });
    }
    assert_eq!(machine.view().outcome, Some(Outcome::Completed));
    began.elapsed()
}

fn tell(machine: &mut Machine, news: News) {
    for fact in machine.decide(news) {
        machine.apply(Timestamp(2), &fact).unwrap();
    }
}

fn step(name: &str, action: StepAction) -> StepSpec {
    StepSpec {
        name: name.into(),
        description: None,
        action,
        retry: 0,
        timeout: None,
        on_error: OnError::Fail,
        gate: Gate::default(),
        review: false,
        on_reject: OnReject::Skip,
    }
}

fn start(steps: Vec<StepSpec>) -> RunStart {
    let workflow = WorkflowSpec {
        id: "w".parse().unwrap(),
        name: "w".into(),
        description: None,
        steps,
        tools: vec![],
        session_state: Object::new(),
        metadata: Object::new(),
    };
    RunStart {
        spec: Arc::new(Spec::Workflow(workflow)),
        session: "s".parse().unwrap(),
        user: None,
        input: Input { text: "go".into(), ..Input::default() },
        options: RunOptions::default(),
        parent: None,
        place: None,
        components: vec![],
        origin: None,
    }
}
