//! What one file says about another: names, targets, circles.

use std::collections::BTreeMap;

use super::Draft;
use super::fault::{At, Fault, listed};
use crate::domain::id::ComponentId;
use crate::domain::spec::ComponentKind;

/// A mention of another file.
pub(super) struct Link {
    pub target: ComponentId,
    /// What the target may be.
    pub wanted: &'static [ComponentKind],
    pub at: At,
}

impl Link {
    pub(super) const AGENT: &'static [ComponentKind] = &[ComponentKind::Agent];
    pub(super) const TEAM: &'static [ComponentKind] = &[ComponentKind::Team];
    pub(super) const WORKFLOW: &'static [ComponentKind] = &[ComponentKind::Workflow];
    pub(super) const MEMBER: &'static [ComponentKind] = &[ComponentKind::Agent, ComponentKind::Team];
}

/// Checks what needs all files. A faulty file still counts as a target: one mistake is one fault.
pub(super) fn check(drafts: &[Draft], faults: &mut Vec<Fault>) {
    let by_stem: BTreeMap<&str, &Draft> = drafts.iter().map(|draft| (draft.stem.as_str(), draft)).collect();
    for draft in drafts {
        faults.extend(draft.links.iter().filter_map(|link| missing(draft, link, &by_stem)));
    }
    names(drafts, faults);
    circles(&by_stem, faults);
}

fn missing(draft: &Draft, link: &Link, by_stem: &BTreeMap<&str, &Draft>) -> Option<Fault> {
    let (target, wanted) = (&link.target, link.wanted);
    let or =
        |kinds: &[ComponentKind]| kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ");
    let message = match by_stem.get(target.as_str()).map(|found| found.kind) {
        Some(None) => return None,
        Some(Some(kind)) if wanted.contains(&kind) => return None,
        Some(Some(kind)) => format!("`{target}` is of kind {}; expected {}", kind.as_str(), or(wanted)),
        None => {
            let fits = |draft: &&&Draft| draft.kind.is_some_and(|kind| wanted.contains(&kind));
            let known = by_stem.values().filter(fits).map(|draft| draft.stem.as_str());
            format!("no {} `{target}`; there are: {}", or(wanted), listed(known))
        }
    };
    Some(draft.source.fault(link.at, message))
}

fn names(drafts: &[Draft], faults: &mut Vec<Fault>) {
    let mut taken: BTreeMap<&str, &Draft> = BTreeMap::new();
    for draft in drafts {
        let Some(name) = draft.spec.as_ref().map(|spec| spec.name()) else { continue };
        if let Some(other) = taken.insert(name, draft) {
            let message = format!("the name `{name}` is taken by {}", other.source.file.display());
            let line = draft.source.text.lines().position(|line| line.starts_with("name:"));
            faults.push(draft.source.fault(line.map_or(At::START, |line| At::line(line + 1)), message));
        }
    }
}

/// Members and steps must lead to an end.
fn circles(by_stem: &BTreeMap<&str, &Draft>, faults: &mut Vec<Fault>) {
    let mut done = Vec::new();
    for stem in by_stem.keys() {
        follow(stem, &mut Vec::new(), &mut done, by_stem, faults);
    }
}

fn follow<'a>(
    stem: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
    by_stem: &BTreeMap<&'a str, &'a Draft>,
    faults: &mut Vec<Fault>,
) {
    let Some(draft) = by_stem.get(stem).filter(|_| !done.contains(&stem)) else { return };
    path.push(stem);
    for link in &draft.links {
        let target = link.target.as_str();
        match path.iter().position(|step| *step == target) {
            None => follow(target, path, done, by_stem, faults),
            Some(start) => {
                let circle: Vec<&str> = path.iter().skip(start).copied().chain([target]).collect();
                faults.push(
                    draft.source.fault(link.at, format!("leads back to itself: {}", circle.join(" → "))),
                );
            }
        }
    }
    path.pop();
    done.push(stem);
}
