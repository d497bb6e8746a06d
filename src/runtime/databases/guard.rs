//! What SQL may do. It comes from models and from what they read: nothing but the one database in memory is within its
//! reach, and what SQLite may learn later is not allowed until it is named here.

use std::sync::{Arc, Mutex};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::runtime::journal::unpoisoned;

/// Most calls in one statement of functions that may go over a text again for each of its characters: SQLite cannot be
/// stopped inside one.
const MOST_SLOW_CALLS: usize = 16;

/// Such functions.
const SLOW: [&str; 7] = ["glob", "instr", "like", "ltrim", "replace", "rtrim", "trim"];

/// Functions that reach outside.
const OUTSIDE: [&str; 2] = ["fts3_tokenizer", "load_extension"];

/// Pragmas that tell something of the database.
const TELLING: [&str; 12] = [
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "page_count",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Pragmas that may be set, and hold for the call or are kept in the database.
const SETTABLE: [&str; 6] = [
    "application_id",
    "case_sensitive_like",
    "defer_foreign_keys",
    "foreign_keys",
    "recursive_triggers",
    "user_version",
];

/// Whether statements may change the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Watches over the statements of one connection.
#[derive(Clone)]
pub(super) struct Guard {
    access: Access,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    slow_calls: usize,
    refused: Option<String>,
}

impl Guard {
    pub(super) fn new(access: Access) -> Self {
        Self { access, notes: Arc::default() }
    }

    /// Forgets what it noted of the statement before.
    pub(super) fn begin_statement(&self) {
        *unpoisoned(&self.notes) = Notes::default();
    }

    /// Why it refused the statement.
    pub(super) fn refused(&self) -> Option<String> {
        unpoisoned(&self.notes).refused.clone()
    }

    /// What SQLite asks for each part of a statement before it runs it.
    pub(super) fn judge(&self, context: &AuthContext<'_>) -> Authorization {
        match self.verdict(&context.action) {
            Ok(()) => Authorization::Allow,
            Err(why) => {
                unpoisoned(&self.notes).refused.get_or_insert(why);
                Authorization::Deny
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the list is SQLite's and grows: what is not named is refused"
    )]
    fn verdict(&self, action: &AuthAction<'_>) -> Result<(), String> {
        match *action {
            AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Ok(()),
            AuthAction::Function { function_name } => self.function(function_name),
            AuthAction::Pragma { pragma_name, pragma_value } => self.pragma(pragma_name, pragma_value),
            AuthAction::Attach { .. } => {
                Err("only this database can be used: ATTACH and VACUUM are not allowed".into())
            }
            AuthAction::CreateVtable { .. } | AuthAction::DropVtable { .. } => {
                Err("virtual tables are not allowed".into())
            }
            AuthAction::Detach { .. } | AuthAction::Unknown { .. } => {
                Err("this statement is not allowed".into())
            }
            _ if self.access == Access::Read => Err("only statements that read are allowed here".into()),
            AuthAction::Insert { .. }
            | AuthAction::Update { .. }
            | AuthAction::Delete { .. }
            | AuthAction::CreateTable { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempIndex { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempView { .. }
            | AuthAction::DropTable { .. }
            | AuthAction::DropIndex { .. }
            | AuthAction::DropTrigger { .. }
            | AuthAction::DropView { .. }
            | AuthAction::DropTempTable { .. }
            | AuthAction::DropTempIndex { .. }
            | AuthAction::DropTempTrigger { .. }
            | AuthAction::DropTempView { .. }
            | AuthAction::AlterTable { .. }
            | AuthAction::Reindex { .. }
            | AuthAction::Analyze { .. }
            | AuthAction::Transaction { .. }
            | AuthAction::Savepoint { .. } => Ok(()),
            _ => Err("this statement is not allowed".into()),
        }
    }

    fn function(&self, name: &str) -> Result<(), String> {
        let is = |list: &[&str]| list.iter().any(|one| one.eq_ignore_ascii_case(name));
        if is(&OUTSIDE) {
            return Err(format!("the function {name} is not allowed"));
        }
        if is(&SLOW) {
            let mut notes = unpoisoned(&self.notes);
            notes.slow_calls = notes.slow_calls.saturating_add(1);
            if notes.slow_calls > MOST_SLOW_CALLS {
                return Err(format!(
                    "a statement calls {} at most {MOST_SLOW_CALLS} times together",
                    SLOW.join(", ")
                ));
            }
        }
        Ok(())
    }

    fn pragma(&self, name: &str, value: Option<&str>) -> Result<(), String> {
        let is = |list: &[&str]| list.iter().any(|one| one.eq_ignore_ascii_case(name));
        let may_be_set = is(&SETTABLE) && (value.is_none() || self.access == Access::Write);
        if is(&TELLING) || may_be_set {
            Ok(())
        } else {
            Err(format!("the pragma {name} is not allowed here"))
        }
    }
}
