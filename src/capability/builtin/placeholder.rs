//! Capabilities without tools: one that does nothing, and those that are only announced.

use serde_json::Value;

use crate::capability::{About, Capability, CapabilityStatus, Contribution};

/// A capability that contributes nothing.
pub(super) struct Placeholder(About);

impl Placeholder {
    /// `noop`: to try out that an agent has a capability.
    pub(super) fn noop() -> Self {
        Self(About::new("noop", "No-Op", "Does nothing.").listed("Testing", "circle-off"))
    }

    /// `research`.
    pub(super) fn research() -> Self {
        Self::announced(
            About::new("research", "Research", "Looks things up in many places and sums them up.")
                .listed("Network", "telescope"),
        )
    }

    /// `sandbox`.
    pub(super) fn sandbox() -> Self {
        Self::announced(
            About::new("sandbox", "Sandbox", "Runs programs on a machine of their own.")
                .listed("Execution", "box"),
        )
    }

    fn announced(about: About) -> Self {
        Self(About { status: CapabilityStatus::ComingSoon, ..about })
    }
}

impl Capability for Placeholder {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        Ok(Contribution::default())
    }
}
