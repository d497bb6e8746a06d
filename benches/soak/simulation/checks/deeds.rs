//! What tools did is what the logs say, or what they openly do not know.

use runhold::domain::fact::{Decision, Outcome};
use runhold::domain::tool::{Effect, Verdict};
use runhold::domain::view::Call;

use super::Found;
use crate::simulation::tools::{Deed, TOOLS, effect_of};
use crate::simulation::world::World;

pub(super) fn check(world: &World, found: &Found) {
    let deeds = world.deeds.0.lock().unwrap();
    for (key, deed) in &*deeds {
        let at_most_once = effect_of(&deed.tool) != Effect::Once || deed.effects <= deed.allowed;
        world.must(at_most_once, || format!("`{}` took effect {} times: {key}", deed.tool, deed.effects));
    }
    let nothing = Deed::default();
    for view in found.views.values() {
        let completed = view.outcome == Some(Outcome::Completed);
        for call in view.calls().filter(|call| TOOLS.contains(&call.call.name.as_str())) {
            let key = format!("{}/{}", view.run, call.call.id);
            let deed = deeds.get(&key).unwrap_or(&nothing);
            one(world, &key, call, deed);
            world
                .must(!completed || call.result.is_some(), || format!("{key} is open, and its run complete"));
        }
    }
}

fn one(world: &World, key: &str, call: &Call, deed: &Deed) {
    let decision = call.answer.as_ref().map(|answer| &answer.decision);
    let approved = matches!(decision, Some(Decision::Approved { .. }));
    let is_gated = matches!(call.call.name.as_str(), "launch" | "form" | "outside");
    let allowed = call.started.is_some() && (approved || !is_gated);
    let allowed = allowed || call.doubted;
    world.must(allowed || deed.calls == 0, || format!("{key} was called, and not allowed: {call:?}"));
    let Some(result) = &call.result else { return };
    let is_once = effect_of(&call.call.name) == Effect::Once;
    let fits = match result.verdict {
        Verdict::Done if matches!(decision, Some(Decision::Executed { .. })) => {
            deed.effects == 0 || call.doubted
        }
        Verdict::Done => deed.effects > 0,
        Verdict::Failed | Verdict::Cancelled => true,
        Verdict::Refused => deed.calls == 0 || call.doubted,
        Verdict::InDoubt => is_once,
    };
    world.must(fits, || format!("{key} is {:?} and {deed:?}", result.verdict));
}
