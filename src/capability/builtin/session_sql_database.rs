//! A session's SQL databases, as tools.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{answered, spec};
use crate::capability::databases::{DatabaseError, Databases, Grid, Sql};
use crate::capability::{About, Capability, Contribution, Invocation, Risk, Tool};
use crate::domain::Object;
use crate::domain::database::DatabaseName;
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// What reads comes after what was changed before it in the same answer.
const CLASS: &str = "databases";

/// `session_sql_database`.
pub(super) struct SessionSqlDatabase(About);

impl SessionSqlDatabase {
    pub(super) fn new() -> Self {
        let about = "Keeps SQLite databases of the session, to structure data and ask it with SQL.";
        let about = About::new("session_sql_database", "SQL Database", about)
            .listed("Data", "database")
            .featuring(&["sql_database"])
            .risking(Risk::Low);
        Self(about)
    }
}

impl Capability for SessionSqlDatabase {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "This session has SQL databases of its own (SQLite) that stay between turns. Prefer them to \
                      keeping tables in your head. Look at the schema before you query tables that you did not make \
                      in this turn. A call is carried out whole or not at all, so a transaction ends in the call in \
                      which it begins. Ask for what you need: at most 1000 rows are shown.";
        let tools = [What::Execute, What::Query, What::Schema];
        let tools = tools.into_iter().map(|what| Arc::new(Database::new(what)) as Arc<dyn Tool>).collect();
        Ok(Contribution { prompt: Some(prompt.into()), tools, ..Contribution::default() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Execute,
    Query,
    Schema,
}

struct Database {
    what: What,
    spec: ToolSpec,
}

impl Database {
    fn new(what: What) -> Self {
        let (name, about, effect) = match what {
            What::Execute => (
                "sql_execute",
                "Carries out SQL that changes a database (CREATE, INSERT, UPDATE, DELETE, …). The database is made \
                 if there is none of this name.",
                Effect::Idempotent,
            ),
            What::Query => {
                ("sql_query", "Asks a database one SELECT; answers with columns and rows.", Effect::Pure)
            }
            What::Schema => (
                "sql_schema",
                "Tells the tables of a database, with their columns and row counts.",
                Effect::Pure,
            ),
        };
        Self { what, spec: spec(name, about, effect, parameters(what)) }
    }
}

fn parameters(what: What) -> Value {
    let database = json!({"type": "string", "description": "Its name: letters, digits and _, at most 64"});
    let params = json!({
        "type": "array",
        "items": {},
        "description": "What stands for each ? of a single statement, in order",
    });
    let (more, required) = match what {
        What::Execute | What::Query => {
            (json!({"sql": {"type": "string"}, "params": params}), json!(["database", "sql"]))
        }
        What::Schema => {
            let table = json!({"type": "string", "description": "Only this one"});
            (json!({"table": table}), json!(["database"]))
        }
    };
    let mut properties = json!({"database": database});
    if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
        properties.extend(more);
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

#[async_trait]
impl Tool for Database {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn class(&self) -> Option<&'static str> {
        Some(CLASS)
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let databases = call.host.databases();
        let name = call.arguments.get("database").and_then(Value::as_str).unwrap_or_default();
        let answer = match name.parse() {
            Ok(name) => match self.what {
                What::Execute => execute(databases, &name, call.arguments, call.key).await,
                What::Query => query(databases, &name, call.arguments).await,
                What::Schema => schema(databases, &name, call.arguments).await,
            },
            Err(error) => Err(DatabaseError::Sql(error.to_string())),
        };
        answered(answer.map_err(|error| error.to_string()))
    }
}

fn sql(arguments: &Object) -> Sql {
    Sql {
        text: arguments.get("sql").and_then(Value::as_str).unwrap_or_default().to_owned(),
        parameters: arguments.get("params").and_then(Value::as_array).cloned().unwrap_or_default(),
    }
}

async fn execute(
    databases: &dyn Databases,
    name: &DatabaseName,
    arguments: &Object,
    key: &str,
) -> Result<Value, DatabaseError> {
    let executed = databases.execute(name, sql(arguments), key).await?;
    let answer = json!({"database": name, "success": true, "rows_affected": executed.rows_affected});
    Ok(match executed.returned {
        Some(grid) => with_rows(answer, grid),
        None => answer,
    })
}

async fn query(
    databases: &dyn Databases,
    name: &DatabaseName,
    arguments: &Object,
) -> Result<Value, DatabaseError> {
    let grid = databases.query(name, sql(arguments)).await?;
    Ok(with_rows(json!({"database": name}), grid))
}

fn with_rows(mut answer: Value, grid: Grid) -> Value {
    let Grid { columns, rows, truncated } = grid;
    if let Value::Object(answer) = &mut answer {
        answer.insert("columns".into(), json!(columns));
        answer.insert("row_count".into(), rows.len().into());
        answer.insert("rows".into(), json!(rows));
        if truncated {
            answer.insert("truncated".into(), true.into());
        }
    }
    answer
}

async fn schema(
    databases: &dyn Databases,
    name: &DatabaseName,
    arguments: &Object,
) -> Result<Value, DatabaseError> {
    let mut tables = databases.tables(name).await?;
    if let Some(table) = arguments.get("table").and_then(Value::as_str) {
        tables.retain(|one| one.name.eq_ignore_ascii_case(table));
        if tables.is_empty() {
            return Err(DatabaseError::Sql(format!("there is no table `{table}`")));
        }
    }
    Ok(json!({"database": name, "tables": tables}))
}
