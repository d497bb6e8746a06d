//! AgentOS lets a client choose among databases; there is one here, under Agno's table names.

use super::error::Error;
use crate::api::endpoint::{Parameter, ParameterKind};
use crate::api::fields::Fields;

/// The one database.
pub(super) const DATABASE: &str = "runhold";
/// Where sessions are, as far as clients are told.
pub(super) const SESSION_TABLE: &str = "agno_sessions";
/// What clients may name.
const TABLES: [&str; 8] = [
    SESSION_TABLE,
    "agno_memories",
    "agno_learnings",
    "agno_metrics",
    "agno_eval_runs",
    "agno_knowledge",
    "agno_traces",
    "agno_spans",
];

/// What documents say about the choice.
pub(super) const DB_ID: Parameter =
    Parameter::new("db_id", ParameterKind::Text, "The database; there is one");
/// What documents say about the choice within.
pub(super) const TABLE: Parameter =
    Parameter::new("table", ParameterKind::Text, "One of the database's tables; needs `db_id`");

/// A client's choice of database, not checked yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    id: Option<String>,
    table: Option<String>,
}

impl Choice {
    /// Reads `db_id` and `table`; empty is absent.
    pub(super) fn of(fields: &mut Fields) -> Self {
        let mut text = |name| fields.text(name).filter(|text| !text.is_empty());
        Self { id: text("db_id"), table: text("table") }
    }

    /// Whether it is the one database.
    ///
    /// # Errors
    /// 404 for another database or table, 400 for a table without a database.
    pub(super) fn check(&self) -> Result<(), Error> {
        match (&self.id, &self.table) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                Err(Error::bad_request("The db_id query parameter is required when passing a table"))
            }
            (Some(id), _) if id != DATABASE => {
                Err(Error::not_found(format!("No database found with id '{id}'")))
            }
            (Some(_), Some(table)) if !TABLES.contains(&table.as_str()) => {
                Err(Error::not_found(format!("No database with id '{DATABASE}' has table '{table}'")))
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// The same, as the list of sessions says it: always 404, the inner status in front.
    pub(super) fn check_for_list(&self) -> Result<(), Error> {
        self.check().map_err(|error| {
            let problem = error.problem();
            Error::not_found(format!("{}: {}", problem.status.as_u16(), problem.message))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(id: Option<&str>, table: Option<&str>) -> Result<(), String> {
        let choice = Choice { id: id.map(String::from), table: table.map(String::from) };
        choice.check_for_list().map_err(|error| error.to_string())
    }

    #[test]
    fn the_one_database_is_chosen_by_its_name_or_by_none() {
        assert_eq!(verdict(None, None), Ok(()));
        assert_eq!(verdict(Some("runhold"), None), Ok(()));
        assert_eq!(verdict(Some("runhold"), Some("agno_sessions")), Ok(()));
    }

    #[test]
    fn other_choices_are_refused_in_agnos_words() {
        let missing = "400: The db_id query parameter is required when passing a table";
        assert_eq!(verdict(None, Some("agno_sessions")), Err(missing.into()));
        assert_eq!(verdict(Some("x"), None), Err("404: No database found with id 'x'".into()));
        let table = "404: No database with id 'runhold' has table 't'";
        assert_eq!(verdict(Some("runhold"), Some("t")), Err(table.into()));
    }
}
