//! The capability `triage`: what makes an agent Norm. Which issue it is about, and what for, stands in its settings,
//! which the board writes into each run; without them it adds nothing.

use std::sync::{Arc, Weak};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::toolbelt;
use super::tools::{NormTool, unknown};
use crate::capability::{About, Capability, Contribution, Tool};
use crate::triage::intent::Intent;
use crate::triage::{Boards, Triage};

/// What agent files name.
pub(super) const CAPABILITY: &str = "triage";

/// `triage`.
pub struct TriageCapability {
    about: About,
    boards: Arc<watch::Sender<Option<Weak<Boards>>>>,
}

/// Where tools find the boards: they may be called before the boards are open.
#[derive(Clone)]
pub(super) struct Desks(watch::Receiver<Option<Weak<Boards>>>);

impl Desks {
    /// The boards, once they are open; nothing after the server has closed them.
    pub(super) async fn triage(&self) -> Option<Triage> {
        let mut boards = self.0.clone();
        let open = boards.wait_for(Option::is_some).await.ok()?;
        open.as_ref().and_then(Weak::upgrade).map(Triage)
    }
}

/// What the board writes into a run.
#[derive(Deserialize)]
struct Settings {
    issue: Option<Uuid>,
    intent: Option<Intent>,
}

impl Default for TriageCapability {
    fn default() -> Self {
        let about = About::new(
            CAPABILITY,
            "Triage",
            "Works on an issue of the triage board: reads its evidence, drafts fixes, verifies them and reports.",
        );
        let properties = json!({
            "issue": { "type": "string", "description": "Which issue; set by the board" },
            "intent": { "type": "string", "enum": ["fix", "verify", "status"], "description": "What for; set by the board" },
        });
        let schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        let about = about.listed("Triage", "stethoscope").configured(schema);
        Self { about, boards: Arc::new(watch::Sender::new(None)) }
    }
}

impl TriageCapability {
    /// Opens the boards its tools work on.
    pub fn serve(&self, triage: &Triage) {
        self.boards.send_replace(Some(Arc::downgrade(&triage.0)));
    }
}

impl Capability for TriageCapability {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, config: &Value) -> Result<Contribution, String> {
        let settings = Settings::deserialize(config).map_err(|error| error.to_string())?;
        let (Some(issue), Some(intent)) = (settings.issue, settings.intent) else {
            return Ok(Contribution::default());
        };
        let desks = Desks(self.boards.subscribe());
        let tool =
            |listed| -> Arc<dyn Tool> { Arc::new(NormTool { listed, issue, intent, desks: desks.clone() }) };
        Ok(Contribution {
            prompt: Some(intent.paragraph().into()),
            tools: toolbelt::all().into_iter().map(tool).collect(),
            unknown: Some(unknown),
            ..Contribution::default()
        })
    }
}
