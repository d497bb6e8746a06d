//! What can be run.
use crate::domain::id::ComponentId;
use crate::domain::spec::{ComponentKind, Spec};
use std::sync::Arc;

#[derive(Default)]
pub struct Catalog {
    specs: Vec<Arc<Spec>>,
}

impl Catalog {
    fn of(&self, kind: ComponentKind) -> impl Iterator<Item = &Arc<Spec>> {
        self.specs.iter().filter(move |spec| spec.kind() == kind)
    }
    pub fn agents(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.of(ComponentKind::Agent)
    }
    pub fn teams(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.of(ComponentKind::Team)
    }
    pub fn workflows(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.of(ComponentKind::Workflow)
    }
    pub fn get(&self, kind: ComponentKind, id: &ComponentId) -> Option<Arc<Spec>> {
        self.of(kind).find(|spec| spec.id() == id).cloned()
    }
}
