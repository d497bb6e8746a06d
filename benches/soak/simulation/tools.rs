//! Tools of every kind, and what they did to the world, counted by idempotency key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runhold::capability::{About, Capability, Contribution, Invocation, Tool};
use runhold::domain::fact::{Entry, Fact};
use runhold::domain::id::CallId;
use runhold::domain::tool::{Effect, Gate, ToolResult, ToolSpec};
use runhold::store::Log;
use serde_json::{Value, json};

use super::power::Power;
use super::weather::Weather;
use super::world::{World, owner};
use super::{dice_of, number_of};

/// Pure, idempotent, once; then some that wait for a person, one that asks for input, one the client executes.
pub(super) const TOOLS: [&str; 7] = ["look", "put", "pay", "hire", "launch", "form", "outside"];

/// A call that takes longer is given up.
const TIMEOUT: Duration = Duration::from_millis(800);

/// What was done, by idempotency key: outside of any process.
#[derive(Default)]
pub(super) struct Deeds(pub(super) Mutex<BTreeMap<String, Deed>>);

/// What one call of a tool came to.
#[derive(Debug, Default)]
pub(super) struct Deed {
    pub(super) tool: String,
    pub(super) arguments: Value,
    /// How often it was called.
    pub(super) calls: u64,
    /// How often it may be called, if once is all by itself.
    pub(super) allowed: u64,
    /// How often it changed the world.
    pub(super) effects: u64,
}

/// The tools as one process has them.
pub(super) struct Kit {
    about: About,
    hands: Arc<Hands>,
}

struct Hands {
    world: Arc<World>,
    power: Arc<Power>,
    weather: Weather,
}

struct Handy {
    spec: ToolSpec,
    hands: Arc<Hands>,
}

impl Kit {
    pub(super) fn new(world: Arc<World>, power: Arc<Power>, weather: Weather) -> Self {
        let about = About::new("kit", "Kit", "For simulated runs.")
            .listed("Tests", "wrench")
            .configured(json!({"type": "object"}));
        Self { about, hands: Arc::new(Hands { world, power, weather }) }
    }
}

impl Capability for Kit {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, _config: &Value) -> Result<Contribution, String> {
        let tool =
            |name: &str| -> Arc<dyn Tool> { Arc::new(Handy { spec: spec(name), hands: self.hands.clone() }) };
        Ok(Contribution { tools: TOOLS.into_iter().map(tool).collect(), ..Contribution::default() })
    }
}

/// What a tool of that name may do.
pub(super) fn effect_of(tool: &str) -> Effect {
    match tool {
        "look" => Effect::Pure,
        "put" => Effect::Idempotent,
        _ => Effect::Once,
    }
}

fn spec(name: &str) -> ToolSpec {
    let gate = Gate {
        confirmation: name == "launch",
        user_input: if name == "form" { vec!["note".into()] } else { vec![] },
        external: name == "outside",
        ..Gate::default()
    };
    let required = if name == "form" { json!(["note"]) } else { json!([]) };
    let properties = json!({"n": {"type": "integer"}, "note": {"type": "string"}});
    ToolSpec {
        name: name.into(),
        description: "For simulated runs.".into(),
        parameters: json!({"type": "object", "properties": properties, "required": required}),
        effect: effect_of(name),
        timeout: TIMEOUT,
        gate,
    }
}

#[async_trait]
impl Tool for Handy {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let Hands { world, power, weather } = &*self.hands;
        power.holds().await;
        let times = self.begin(&call);
        let mut dice = dice_of(world.seed, &[20, number_of(call.key), times]);
        tokio::time::sleep(Duration::from_millis(dice.below(120))).await;
        power.holds().await;
        if dice.chance(weather.mood()) {
            if dice.chance(30) {
                std::future::pending::<()>().await;
            }
            return ToolResult::failed("before anything was done");
        }
        self.act(&call);
        tokio::time::sleep(Duration::from_millis(dice.below(120))).await;
        power.holds().await;
        if dice.chance(weather.mood() / 2) {
            return ToolResult::failed("after it was done");
        }
        ToolResult::done(format!("{} of {}", self.spec.name, call.key))
    }
}

impl Handy {
    /// Counts the call, and looks whether it was announced.
    fn begin(&self, call: &Invocation<'_>) -> u64 {
        let world = &self.hands.world;
        let scene = call.host.scene();
        let log = Log { owner: owner(), session: scene.session };
        let (_, id) = call.key.split_once('/').unwrap();
        let call_id: CallId = id.parse().unwrap();
        let announces = |entry: &Entry| match &entry.fact {
            Fact::ToolStarted { call } => entry.run == scene.run && *call == call_id,
            _ => false,
        };
        let announced = world.disk.count(&log, announces) > 0;
        // Each time a person was asked what became of it, it may have been called once more.
        let doubts = world.doubts(&log.session, scene.run, &call_id);
        // A session that was deleted takes its log along.
        let deleted = world.disk.head_of(&log) == 0 || world.is_fleeting(&log.session);
        world.must(announced || deleted, || format!("{} is called without an intent", call.key));
        let mut deeds = world.deeds.0.lock().unwrap();
        let arguments = Value::Object(call.arguments.clone());
        let deed = deeds.entry(call.key.to_owned()).or_insert_with(|| Deed {
            tool: self.spec.name.clone(),
            arguments: arguments.clone(),
            ..Deed::default()
        });
        deed.calls += 1;
        deed.allowed = 1 + doubts as u64;
        let same = (deed.arguments == arguments || doubts > 0) && deed.tool == self.spec.name;
        world.must(same, || format!("{} is called again, with other arguments: {arguments}", call.key));
        let may = deed.calls <= deed.allowed || self.spec.effect != Effect::Once;
        world.must(may, || format!("`{}` is called twice: {}", deed.tool, call.key));
        world.story.tell("tools", || format!("{} {} {arguments}", self.spec.name, call.key));
        deed.calls
    }

    fn act(&self, call: &Invocation<'_>) {
        let world = &self.hands.world;
        if self.spec.name == "put" {
            let mut state = call.host.state();
            state.insert(call.key.into(), call.arguments.get("n").cloned().unwrap_or_default());
            call.host.set_state(state);
        }
        world.story.tell("tools", || format!("{} {} took effect", self.spec.name, call.key));
        if let Some(deed) = world.deeds.0.lock().unwrap().get_mut(call.key) {
            deed.effects += 1;
        }
    }
}
