//! SQLite, in memory: the bytes of a database go in, and come out again when something was changed.
//!
//! Statements are untrusted. Each connection is opened for one call and has limits of its own; whatever happens, the
//! bytes it was given are nobody's but its own.

use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, ErrorCode, MAIN_DB, Statement};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::guard::{Access, Guard};
use super::value;
use crate::capability::databases::{DatabaseError, Executed, Grid, Sql};
use crate::domain::database::{Column, Table};

/// Largest database, in bytes.
const MAX_DATABASE_BYTES: usize = 16 * 1024 * 1024;

/// Longest text of statements, in bytes.
const MAX_SQL_BYTES: usize = 256 * 1024;

/// Longest a call may compute.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most rows of an answer.
const MAX_ROWS: usize = 1000;

/// Largest answer, in bytes of JSON; below what a tool may return.
const MAX_ANSWER_BYTES: usize = 128 * 1024;

/// Size of a page.
pub(super) const PAGE_BYTES: usize = 4096;

/// Most memory all connections together may take: four times a database, as it came and as it is, and what sorting
/// takes. It is SQLite's own limit, and one for the process.
const MAX_HEAP_BYTES: i64 = 192 * 1024 * 1024;

/// Steps of SQLite's machine after which it asks whether to go on: few, since one may take long.
const STEPS: i32 = 25;

/// Longest text, blob or row, in bytes. What searches one text in another may take the square of it.
const MAX_CELL_BYTES: i32 = 256 * 1024;

/// What SQLite refuses by itself.
const LIMITS: [(Limit, i32); 11] = [
    (Limit::SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 256 * 1024),
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 200),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 20),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// What SQLite is told of how far to trust: not the statements, and not the schema they made before.
const SWITCHES: [(DbConfig, bool); 5] = [
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
];

type Outcome<T> = Result<T, DatabaseError>;

/// A database that is open.
pub(super) struct Engine {
    connection: Connection,
    guard: Guard,
    until: Instant,
    stop: CancellationToken,
}

impl Engine {
    /// Opens a database of these bytes; of none, an empty one. It ends what it does when it is stopped.
    pub(super) fn open(bytes: &[u8], access: Access, stop: CancellationToken) -> Outcome<Self> {
        let engine = Self::set_up(bytes, access, stop);
        engine.map_err(|error| {
            tracing::error!(%error, "a database cannot be opened");
            DatabaseError::Unavailable
        })
    }

    fn set_up(bytes: &[u8], access: Access, stop: CancellationToken) -> rusqlite::Result<Self> {
        let mut connection = Connection::open_in_memory()?;
        connection.pragma_update(None, "hard_heap_limit", MAX_HEAP_BYTES)?;
        if !bytes.is_empty() {
            connection.deserialize_read_exact(MAIN_DB, bytes, bytes.len(), access == Access::Read)?;
        }
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
        connection.pragma_update(None, "max_page_count", (MAX_DATABASE_BYTES / PAGE_BYTES) as i64)?;
        for (switch, on) in SWITCHES {
            connection.set_db_config(switch, on)?;
        }
        for (limit, most) in LIMITS {
            connection.set_limit(limit, most)?;
        }
        let until = Instant::now() + PATIENCE;
        let stopped = stop.clone();
        connection.progress_handler(STEPS, Some(move || stopped.is_cancelled() || Instant::now() > until))?;
        let guard = Guard::new(access);
        let judge = guard.clone();
        connection
            .authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| judge.judge(&context)))?;
        Ok(Self { connection, guard, until, stop })
    }

    /// What one statement answers.
    pub(super) fn query(&self, sql: &Sql) -> Outcome<Grid> {
        let mut grid = None;
        self.each(sql, |statement| {
            if grid.is_some() {
                return Err(DatabaseError::Sql("one statement at a time is asked".into()));
            }
            // BEGIN and its like change nothing, and answer nothing.
            if !statement.readonly() || statement.column_count() == 0 {
                return Err(DatabaseError::Sql("only statements that read are allowed here".into()));
            }
            grid = Some(self.collected(statement)?);
            Ok(())
        })?;
        grid.ok_or_else(nothing)
    }

    /// Carries statements out; what they changed is in [`into_bytes`](Self::into_bytes).
    pub(super) fn execute(&self, sql: &Sql) -> Outcome<Executed> {
        let before = self.connection.total_changes();
        let mut last = None;
        self.each(sql, |statement| {
            last = Some(self.collected(statement)?);
            Ok(())
        })?;
        let last = last.ok_or_else(nothing)?;
        if !self.connection.is_autocommit() {
            let message = "a transaction must end in the call in which it begins: COMMIT is missing";
            return Err(DatabaseError::Sql(message.into()));
        }
        let rows_affected = self.connection.total_changes().saturating_sub(before);
        Ok(Executed { rows_affected, returned: Some(last).filter(|grid| !grid.columns.is_empty()) })
    }

    /// The database as it is now.
    pub(super) fn into_bytes(mut self) -> Outcome<Vec<u8>> {
        let bytes = self.connection.serialize(MAIN_DB).map(|data| data.to_vec());
        bytes.map_err(|error| {
            tracing::error!(%error, "a database cannot be written");
            DatabaseError::Unavailable
        })
    }

    /// The tables, by name.
    pub(super) fn tables(&self) -> Outcome<Vec<Table>> {
        self.read_tables().map_err(|error| self.told(&error))
    }

    fn read_tables(&self) -> rusqlite::Result<Vec<Table>> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name";
        let mut names = self.connection.prepare(names)?;
        let names = names.query_map([], |row| row.get::<_, String>(0))?;
        let of_table = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?)";
        let mut of_table = self.connection.prepare(of_table)?;
        let mut tables = Vec::new();
        for name in names {
            let name = name?;
            let columns = of_table.query_map([&name], |row| {
                Ok(Column {
                    name: row.get(0)?,
                    kind: row.get(1)?,
                    not_null: row.get(2)?,
                    default: row.get(3)?,
                    primary_key: row.get::<_, i64>(4)? > 0,
                })
            });
            let columns = columns?.collect::<rusqlite::Result<_>>()?;
            let count = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
            let row_count: i64 = self.connection.query_row(&count, [], |row| row.get(0))?;
            tables.push(Table { name, columns, row_count: row_count.unsigned_abs() });
        }
        Ok(tables)
    }

    /// Does something with each statement, with the parameters in their places.
    fn each(&self, sql: &Sql, mut act: impl FnMut(&mut Statement<'_>) -> Outcome<()>) -> Outcome<()> {
        if sql.text.len() > MAX_SQL_BYTES {
            let message = format!("`sql` is longer than {MAX_SQL_BYTES} bytes; send it in parts");
            return Err(DatabaseError::TooLarge(message));
        }
        let mut batch = Batch::new(&self.connection, &sql.text);
        let mut bound = false;
        loop {
            // Many small statements are no reason to go on for longer than one.
            if Instant::now() > self.until || self.stop.is_cancelled() {
                return Err(took_too_long());
            }
            self.guard.begin_statement();
            let Some(mut statement) = batch.next().map_err(|error| self.told(&error))? else { break };
            if !sql.parameters.is_empty() && bound {
                let message = "`params` go with a single statement";
                return Err(DatabaseError::Sql(message.into()));
            }
            value::bind(&mut statement, &sql.parameters).map_err(DatabaseError::Sql)?;
            bound = true;
            act(&mut statement)?;
        }
        Ok(())
    }

    /// Runs a statement to its end; as much of what it answers as is told.
    fn collected(&self, statement: &mut Statement<'_>) -> Outcome<Grid> {
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let readonly = statement.readonly();
        let mut grid = Grid { columns, rows: Vec::new(), truncated: false };
        let mut size = 0_usize;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| self.told(&error))? {
            if !grid.truncated {
                let values = (0..grid.columns.len()).map(|at| row.get_ref(at).unwrap_or(ValueRef::Null));
                let values: Vec<Value> = values.map(value::of_cell).collect();
                size = size.saturating_add(values.iter().map(value::size).sum());
                grid.truncated = grid.rows.len() == MAX_ROWS || size > MAX_ANSWER_BYTES;
                if !grid.truncated {
                    grid.rows.push(values);
                }
            }
            // What changes something is carried out to its end, however much it answers.
            if grid.truncated && readonly {
                break;
            }
        }
        Ok(grid)
    }

    /// What went wrong, for whoever wrote the statement. It speaks of nothing but the statement and its data.
    fn told(&self, error: &rusqlite::Error) -> DatabaseError {
        if let Some(why) = self.guard.refused() {
            return DatabaseError::Sql(why);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => took_too_long(),
            Some(ErrorCode::OutOfMemory) => DatabaseError::Sql("the statement needs too much memory".into()),
            Some(ErrorCode::DiskFull) => {
                DatabaseError::TooLarge(format!("a database has at most {MAX_DATABASE_BYTES} bytes"))
            }
            Some(_) | None => DatabaseError::Sql(message(error)),
        }
    }
}

/// What SQLite says, without the statement: who wrote it has it.
fn message(error: &rusqlite::Error) -> String {
    if let rusqlite::Error::SqlInputError { msg, offset, .. } = error {
        return format!("{msg} (at character {offset})");
    }
    error.to_string()
}

fn nothing() -> DatabaseError {
    DatabaseError::Sql("`sql` holds no statement".into())
}

fn took_too_long() -> DatabaseError {
    DatabaseError::Sql(format!("the statement took longer than {} s and was stopped", PATIENCE.as_secs()))
}
