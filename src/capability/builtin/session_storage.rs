//! What a session keeps by name, as tools: values, and secrets that are encrypted where they are kept.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{answered, spec};
use crate::capability::storage::Storage;
use crate::capability::{About, Capability, Contribution, Invocation, Risk, Tool};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// Changes of values come one after the other; so do those of secrets.
const CLASSES: [&str; 2] = ["values", "secrets"];

/// Longest name of a value or secret, in characters a model may write.
const MAX_NAME: usize = 255;

/// `session_storage`.
pub(super) struct SessionStorage(About);

impl SessionStorage {
    pub(super) fn new() -> Self {
        let about = "Keeps values and secrets of the session by name; secrets are encrypted.";
        let about = About::new("session_storage", "Storage", about)
            .listed("Storage", "key-round")
            .featuring(&["secrets", "key_value"])
            .risking(Risk::Low);
        Self(about)
    }
}

impl Capability for SessionStorage {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "This session keeps values by name between turns. Keep credentials as secrets, never as values, and \
                      do not repeat them in answers.";
        let tools: Vec<Arc<dyn Tool>> =
            vec![Arc::new(Keeping::new(What::Value)), Arc::new(Keeping::new(What::Secret))];
        Ok(Contribution { prompt: Some(prompt.into()), tools, ..Contribution::default() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Value,
    Secret,
}

struct Keeping {
    what: What,
    spec: ToolSpec,
}

impl Keeping {
    fn new(what: What) -> Self {
        let (tool, field, about) = match what {
            What::Value => ("kv_store", "key", "Keeps, reads, forgets or lists values of the session."),
            What::Secret => {
                ("secret_store", "name", "Keeps, reads, forgets or lists secrets of the session, encrypted.")
            }
        };
        let parameters = json!({
            "type": "object",
            "properties": {
                "operation": {"type": "string", "enum": ["set", "get", "delete", "list"]},
                field: {"type": "string", "maxLength": MAX_NAME, "description": "Not needed to list"},
                "value": {"type": "string", "description": "What to set"},
            },
            "required": ["operation"],
            "additionalProperties": false,
        });
        Self { what, spec: spec(tool, about, Effect::Idempotent, parameters) }
    }
}

#[async_trait]
impl Tool for Keeping {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn class(&self) -> Option<&'static str> {
        let [values, secrets] = CLASSES;
        Some(match self.what {
            What::Value => values,
            What::Secret => secrets,
        })
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let argument = |name: &str| call.arguments.get(name).and_then(Value::as_str);
        let order = Order {
            storage: call.host.storage(),
            what: self.what,
            operation: argument("operation").unwrap_or_default(),
            name: argument(self.what.field()),
            value: argument("value"),
        };
        answered(order.carried_out().await)
    }
}

impl What {
    fn field(self) -> &'static str {
        match self {
            Self::Value => "key",
            Self::Secret => "name",
        }
    }
}

struct Order<'a> {
    storage: &'a dyn Storage,
    what: What,
    operation: &'a str,
    name: Option<&'a str>,
    value: Option<&'a str>,
}

impl Order<'_> {
    async fn carried_out(&self) -> Result<Value, String> {
        let field = self.what.field();
        if self.operation == "list" {
            return self.list().await;
        }
        let name = self.name.ok_or_else(|| format!("`{}` needs `{field}`", self.operation))?;
        let told = |error: crate::capability::storage::StorageError| error.to_string();
        let (storage, what) = (self.storage, self.what);
        match self.operation {
            "set" => {
                let value = self.value.ok_or("`set` needs `value`")?;
                match what {
                    What::Value => storage.set_value(name, value).await.map_err(told)?,
                    What::Secret => storage.set_secret(name, value).await.map_err(told)?,
                }
                // A secret is not said again: what is not said is not kept where it should not be.
                let shown = if what == What::Value { json!({"value": value}) } else { json!({}) };
                Ok(self.answer(shown, true))
            }
            "get" => {
                let value = match what {
                    What::Value => storage.value(name).await.map_err(told)?,
                    What::Secret => storage.secret(name).await.map_err(told)?,
                };
                Ok(match value {
                    Some(value) => self.answer(json!({"value": value}), true),
                    None => self.answer(json!({}), false),
                })
            }
            "delete" => {
                let found = match what {
                    What::Value => storage.delete_value(name).await.map_err(told)?,
                    What::Secret => storage.delete_secret(name).await.map_err(told)?,
                };
                Ok(self.answer(json!({}), found))
            }
            other => Err(format!("there is no operation `{other}`")),
        }
    }

    fn answer(&self, more: Value, found: bool) -> Value {
        let mut answer = json!({"operation": self.operation, self.what.field(): self.name});
        if let (Value::Object(answer), Value::Object(more)) = (&mut answer, more) {
            answer.extend(more);
            answer.insert("found".into(), found.into());
        }
        answer
    }

    async fn list(&self) -> Result<Value, String> {
        let told = |error: crate::capability::storage::StorageError| error.to_string();
        let names: Vec<String> = match self.what {
            What::Value => {
                let values = self.storage.values().await.map_err(told)?;
                values.into_iter().map(|kept| kept.key).collect()
            }
            What::Secret => {
                let secrets = self.storage.secrets().await.map_err(told)?;
                secrets.into_iter().map(|kept| kept.name).collect()
            }
        };
        let count = names.len();
        Ok(match self.what {
            What::Value => json!({"operation": "list", "keys": names, "count": count}),
            What::Secret => json!({"operation": "list", "names": names, "count": count}),
        })
    }
}
