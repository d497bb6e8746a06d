//! Made-up systems to show agents with: a warehouse, a cloud, customers, accounts. What they hold is JSON in the
//! session's files, which a session with them begins with.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::file_system::CLASS;
use super::{answered, spec};
use crate::capability::files::{FileError, Files, Onto, Write};
use crate::capability::{About, Capability, Contribution, Invocation, Mount, Tool};
use crate::domain::Object;
use crate::domain::file::{FileInfo, FilePath};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// A made-up system: where it is, and what it holds.
pub(super) struct System {
    id: &'static str,
    name: &'static str,
    icon: &'static str,
    /// What its tools begin with.
    prefix: &'static str,
    folder: &'static str,
    about: &'static str,
    collections: &'static [(&'static str, &'static str)],
}

pub(super) static SYSTEMS: [System; 4] = [
    System {
        id: "fake_warehouse",
        name: "Demo Warehouse",
        icon: "warehouse",
        prefix: "warehouse",
        folder: "/warehouse",
        about: "A made-up warehouse: products in stock, and shipments.",
        collections: &[
            ("products", include_str!("demo/warehouse_products.json")),
            ("shipments", include_str!("demo/warehouse_shipments.json")),
        ],
    },
    System {
        id: "fake_aws",
        name: "Demo Cloud",
        icon: "cloud",
        prefix: "aws",
        folder: "/aws",
        about: "A made-up cloud account: machines and buckets.",
        collections: &[
            ("instances", include_str!("demo/aws_instances.json")),
            ("buckets", include_str!("demo/aws_buckets.json")),
        ],
    },
    System {
        id: "fake_crm",
        name: "Demo CRM",
        icon: "contact",
        prefix: "crm",
        folder: "/crm",
        about: "Made-up customers, and tickets of theirs.",
        collections: &[
            ("customers", include_str!("demo/crm_customers.json")),
            ("tickets", include_str!("demo/crm_tickets.json")),
        ],
    },
    System {
        id: "fake_financial",
        name: "Demo Finance",
        icon: "landmark",
        prefix: "finance",
        folder: "/finance",
        about: "Made-up accounts, and what was booked on them.",
        collections: &[
            ("accounts", include_str!("demo/finance_accounts.json")),
            ("transactions", include_str!("demo/finance_transactions.json")),
        ],
    },
];

impl System {
    fn path(&self, collection: &str) -> String {
        format!("{}/{collection}.json", self.folder)
    }
}

/// A capability with the tools of a made-up system.
pub(super) struct Demo {
    about: About,
    system: &'static System,
}

impl Demo {
    pub(super) fn new(system: &'static System) -> Self {
        let about = About::new(system.id, system.name, system.about)
            .listed("Testing", system.icon)
            .needs(&["session_file_system"]);
        Self { about, system }
    }
}

impl Capability for Demo {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let System { about, folder, collections, .. } = self.system;
        let names: Vec<&str> = collections.iter().map(|(name, _)| *name).collect();
        let prompt = format!(
            "{about} It holds {}; each is a JSON array in {folder}/, one object with an `id` per item.",
            names.join(" and ")
        );
        let mounts = collections.iter().map(|(name, content)| Mount {
            path: self.system.path(name),
            content: Bytes::from_static(content.as_bytes()),
            readonly: false,
        });
        let tools = [Verb::List, Verb::Get, Verb::Create, Verb::Update];
        let tools = tools.map(|verb| Arc::new(DemoTool::new(self.system, verb, &names)) as Arc<dyn Tool>);
        Ok(Contribution {
            prompt: Some(prompt),
            tools: tools.into(),
            mounts: mounts.collect(),
            ..Contribution::default()
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    List,
    Get,
    Create,
    Update,
}

struct DemoTool {
    system: &'static System,
    verb: Verb,
    spec: ToolSpec,
}

impl DemoTool {
    fn new(system: &'static System, verb: Verb, collections: &[&str]) -> Self {
        let id = json!({"type": "string"});
        let fields = json!({"type": "object", "description": "Its fields"});
        let (word, about, effect, more) = match verb {
            Verb::List => (
                "list",
                "Lists items, all or those with these fields.",
                Effect::Pure,
                json!({"where": {"type": "object", "description": "Fields and their values"}}),
            ),
            Verb::Get => ("get", "Reads one item.", Effect::Pure, json!({"id": id})),
            Verb::Create => ("create", "Adds an item.", Effect::Once, json!({"item": fields})),
            Verb::Update => (
                "update",
                "Changes fields of an item.",
                Effect::Idempotent,
                json!({"id": id, "item": fields}),
            ),
        };
        let mut properties = json!({"collection": {"type": "string", "enum": collections}});
        let mut required = vec!["collection".to_owned()];
        if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
            required.extend(more.keys().filter(|name| *name != "where").cloned());
            properties.extend(more);
        }
        let parameters = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let name = format!("{}_{word}", system.prefix);
        Self { system, verb, spec: spec(&name, about, effect, parameters) }
    }

    async fn done(&self, files: &dyn Files, arguments: &Object) -> Result<Value, String> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        let fields = |name: &str| arguments.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut collection = Collection::read(self.system, files, text("collection")).await?;
        match self.verb {
            Verb::List => {
                let wanted = fields("where");
                let fits = |item: &&Object| wanted.iter().all(|(name, value)| item.get(name) == Some(value));
                let items: Vec<&Object> = collection.items.iter().filter(fits).collect();
                Ok(json!({"collection": text("collection"), "items": items, "count": items.len()}))
            }
            Verb::Get => collection.find(text("id")).cloned().map(Value::Object),
            Verb::Create => {
                let mut item = Object::new();
                item.insert("id".into(), collection.next_id().into());
                item.extend(fields("item").into_iter().filter(|(name, _)| name != "id"));
                collection.items.push(item.clone());
                collection.write(files).await?;
                Ok(Value::Object(item))
            }
            Verb::Update => {
                let changes = fields("item").into_iter().filter(|(name, _)| name != "id");
                let item = collection.find(text("id"))?;
                item.extend(changes);
                let item = item.clone();
                collection.write(files).await?;
                Ok(Value::Object(item))
            }
        }
    }
}

#[async_trait]
impl Tool for DemoTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn class(&self) -> Option<&'static str> {
        Some(CLASS)
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        answered(self.done(call.host.files(), call.arguments).await)
    }
}

/// A collection as it is in the session's files now.
struct Collection {
    path: FilePath,
    /// None: it is as it comes, and not in the files.
    read: Option<FileInfo>,
    items: Vec<Object>,
}

impl Collection {
    async fn read(system: &System, files: &dyn Files, name: &str) -> Result<Self, String> {
        let known = system.collections.iter().find(|(known, _)| *known == name);
        let (_, seed) = known.ok_or_else(|| format!("there is no collection `{name}`"))?;
        let path = FilePath::parse(&system.path(name)).map_err(|bad| bad.to_string())?;
        let (read, content) = match files.read(&path).await {
            Ok((info, content)) => (Some(info), content),
            Err(FileError::Missing(_)) => (None, Bytes::from_static(seed.as_bytes())),
            Err(error) => return Err(error.to_string()),
        };
        let items = serde_json::from_slice(&content)
            .map_err(|_| format!("`{path}` holds no JSON array of objects any more"))?;
        Ok(Self { path, read, items })
    }

    fn find(&mut self, id: &str) -> Result<&mut Object, String> {
        let found = self.items.iter_mut().find(|item| item.get("id").and_then(Value::as_str) == Some(id));
        found.ok_or_else(|| format!("there is nothing with the id `{id}`"))
    }

    /// What the ids there begin with, and the number after the highest.
    fn next_id(&self) -> String {
        let ids = self.items.iter().filter_map(|item| item.get("id")?.as_str()?.rsplit_once('-'));
        let numbered = ids.filter_map(|(word, number)| Some((word, number.parse::<u64>().ok()?)));
        let (word, number) = numbered.max_by_key(|(_, number)| *number).unwrap_or(("ITEM", 0));
        format!("{word}-{}", number.saturating_add(1))
    }

    async fn write(&self, files: &dyn Files) -> Result<(), String> {
        let content = serde_json::to_vec_pretty(&self.items).map_err(|error| error.to_string())?;
        let onto = self.read.as_ref().map_or(Onto::Nothing, |info| Onto::Unchanged(info.updated));
        let written = files.write(&self.path, Bytes::from(content), Write { onto, readonly: None }).await;
        written.map(drop).map_err(|error| error.to_string())
    }
}
