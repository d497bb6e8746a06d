//! One process, from its start to its death; and the last one, in which everything must come to rest.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use runhold::capability::egress::Egress;
use runhold::capability::registry::Registry;
use runhold::domain::spec::Spec;
use runhold::llm::Models;
use runhold::runtime::catalog::Catalog;
use runhold::runtime::{Parts, Runtime};

use super::clients::Client;
use super::clock::JumpyClock;
use super::dice_of;
use super::disk::Mounted;
use super::model::MoodyModel;
use super::power::{Death, Power};
use super::tools::Kit;
use super::watchers::Watch;
use super::weather::Weather;
use super::world::{AGENTS, World, agent, log_of, owner};
use crate::dice::Dice;

/// A process that was to die at a commit it never came to dies then.
const LONGEST: Duration = Duration::from_secs(8);

/// Faults of the last process end by then.
const CLEARING: Duration = Duration::from_secs(4);

/// Seconds in which all must come to rest, once faults have stopped.
const REST: u64 = 3_600;

/// A process that dies.
pub(super) fn live(world: &Arc<World>, life: u64) {
    let mut dice = dice_of(world.seed, &[30, life]);
    let death = Death::seeded(&mut dice);
    world.story.tell("process", || format!("life {life}, until {death:?}"));
    let power = Arc::new(Power::new(life, death));
    within(&power, async {
        let weather = Weather::seeded(&mut dice, LONGEST);
        let runtime = open(world, &power, weather).await;
        people(world, &runtime, &mut dice, life);
        match death {
            Death::Time(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            Death::Stop(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(dice.below(2_500))).await;
                let left = runtime.stop(Duration::from_millis(milliseconds)).await;
                world.story.tell("process", || format!("stopped, {left} runs left"));
            }
            Death::Commit(..) | Death::Read(_) | Death::Never => tokio::time::sleep(LONGEST).await,
        }
    });
    let power_cut = dice.chance(40);
    if power_cut {
        world.disk.lose_unsynced(&mut dice);
    }
    world.story.tell("process", || format!("is dead; power cut: {power_cut}"));
    world.lost_power.fetch_or(power_cut, Ordering::Relaxed);
    let heads = world.disk.logs().into_iter().map(|log| (log.clone(), world.disk.head_of(&log)));
    world.ledger.lock().unwrap().process_died(heads);
}

/// The last process: soon nothing fails any more, and whoever waits is answered. Nobody starts it again.
pub(super) fn rest(world: &Arc<World>, life: u64) {
    let mut dice = dice_of(world.seed, &[30, life]);
    world.story.tell("process", || format!("life {life}, and the last"));
    let power = Arc::new(Power::new(life, Death::Never));
    within(&power, async {
        let weather = Weather::seeded(&mut dice, CLEARING);
        let runtime = open(world, &power, weather).await;
        people(world, &runtime, &mut dice, life);
        tokio::time::sleep(LONGEST).await;
        let mut person = client(world, &runtime, &mut dice, "person".into());
        for _ in 0..REST {
            if is_at_rest(world) {
                return knows_it_rests(world, &runtime).await;
            }
            for view in world.paused() {
                person.answer(&view).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let open: Vec<_> = world.runs().into_iter().filter(|run| !run.status.is_over()).collect();
        world.must(false, || format!("does not come to an end: {open:?}"));
    });
    world.ledger.lock().unwrap().process_died([]);
}

/// What the process says is what the disk says, and it drives nothing any more.
async fn knows_it_rests(world: &World, runtime: &Runtime) {
    for run in world.runs() {
        let told = runtime.run(&owner(), run.id).await.ok();
        world.must(told.as_ref() == Some(&run), || format!("run {} is {told:?}, and not {run:?}", run.id));
        let finished = tokio::time::timeout(Duration::from_secs(1), runtime.finished(&owner(), run.id)).await;
        let told = finished.ok().and_then(Result::ok).map(|view| (view.messages(), view.outcome));
        let stored = world.view(&run).map(|view| (view.messages(), view.outcome));
        world.must(told == stored, || format!("run {} ends as {told:?}, and not {stored:?}", run.id));
    }
    let busy = runtime.stop(Duration::from_secs(1)).await;
    world.must(busy == 0, || format!("{busy} sessions have something to drive, and nothing is left"));
}

/// Runs a process until it is done or dead, and takes everything of it away.
fn within(power: &Power, life: impl Future<Output = ()>) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let tokio = tokio.unwrap();
    tokio.block_on(async {
        tokio::select! {
            biased;
            () = power.gone() => {}
            () = life => {}
        }
    });
    power.cut();
    drop(tokio);
    let left = power.runtime.lock().unwrap().take();
    if let Some(left) = left {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        tokio.unwrap().block_on(left.stop(Duration::ZERO));
    }
}

async fn open(world: &Arc<World>, power: &Arc<Power>, weather: Weather) -> Runtime {
    static BUILTIN: OnceLock<Registry> = OnceLock::new();
    loop {
        let kit = Kit::new(world.clone(), power.clone(), weather.clone());
        let model = MoodyModel { world: world.clone(), weather: weather.clone() };
        let parts = Parts {
            extensions: Vec::new(),
            vault: None,
            store: Arc::new(Mounted { world: world.clone(), power: power.clone(), weather: weather.clone() }),
            models: Models::default().with("sim", Arc::new(model)),
            registry: BUILTIN.get_or_init(|| Registry::builtin(Egress::new())).clone().with(Arc::new(kit)),
            catalog: Catalog::from_iter(AGENTS.map(|id| Spec::Agent(agent(id)))),
            clock: Arc::new(JumpyClock::new(
                world.names.clone(),
                power.life,
                dice_of(world.seed, &[31, power.life]),
            )),
            queue_depth: 3,
            most_at_once: 1_000,
            pieces_may_be_lost: world.lost_power.load(Ordering::Relaxed),
            failures_are_kept: false,
        };
        match Runtime::open(parts).await {
            Ok(runtime) => {
                power.opened();
                *power.runtime.lock().unwrap() = Some(runtime.clone());
                world.lost_power.store(false, Ordering::Relaxed);
                return runtime;
            }
            Err(error) => {
                world.story.tell("process", || format!("does not open: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn people(world: &Arc<World>, runtime: &Runtime, dice: &mut Dice, life: u64) {
    watch(world, runtime, life);
    for number in 0..1 + dice.below(4) {
        let client = client(world, runtime, dice, format!("client{number}"));
        tokio::spawn(client.act());
    }
}

fn client(world: &Arc<World>, runtime: &Runtime, dice: &mut Dice, name: String) -> Client {
    let dice = Dice::new(dice.next());
    Client { name, world: world.clone(), runtime: runtime.clone(), dice }
}

fn watch(world: &Arc<World>, runtime: &Runtime, life: u64) {
    for watch in &world.watches {
        tokio::spawn(Watch::watch(watch.clone(), world.clone(), runtime.clone(), life));
    }
}

fn is_at_rest(world: &World) -> bool {
    let caught_up = |watch: &Arc<Watch>| watch.cursor() >= world.disk.head_of(&log_of(&watch.session));
    world.runs().iter().all(|run| run.status.is_over()) && world.watches.iter().all(caught_up)
}
