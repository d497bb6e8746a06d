//! Categories: eight that every owner has, and those that were made or used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Board;
use super::error::Error;
use super::form::{Faults, Form};
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::{Changes, Document};

/// What every owner has, in order.
const BUILT_IN: [&str; 8] =
    ["Bug", "Dialogue", "Latency", "Routing", "Speech", "Telephony", "Tools", "Transcription"];

/// A category that was made or used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Names it.
    pub id: Uuid,
    /// As it was first written.
    pub name: String,
    /// When.
    pub created: Timestamp,
}

/// A category as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryShown {
    /// A UUID, or `built-in:<name>`.
    pub id: String,
    /// As it is written.
    pub name: String,
    /// When it was made; those that come with the server, when 1970 began.
    pub created: Timestamp,
}

impl Document for Category {
    const KIND: RecordKind = RecordKind("triage_category");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: Vec::new() }
    }
}

/// All categories of an owner: by their names without case, and those alike as they are written.
pub(super) struct Catalog(BTreeMap<String, CategoryShown>);

impl Default for Catalog {
    fn default() -> Self {
        let built_in = BUILT_IN.map(|name| {
            let folded = name.to_lowercase();
            let id = format!("built-in:{folded}");
            (folded, CategoryShown { id, name: name.into(), created: Timestamp::default() })
        });
        Self(built_in.into())
    }
}

impl Catalog {
    /// The category of this name, however it is written.
    pub(super) fn get(&self, name: &str) -> Option<&CategoryShown> {
        self.0.get(&name.to_lowercase())
    }

    /// Takes one in, unless the name is there.
    pub(super) fn put(&mut self, category: Category) {
        let folded = category.name.to_lowercase();
        self.0.entry(folded).or_insert_with(|| category.into());
    }

    /// At most `limit` after a name.
    fn after(&self, name: Option<&str>, limit: usize) -> Vec<CategoryShown> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = name.map_or(Unbounded, |name| Excluded(name.to_lowercase()));
        self.0.range((from, Unbounded)).take(limit).map(|(_, category)| category.clone()).collect()
    }
}

impl From<Category> for CategoryShown {
    fn from(Category { id, name, created }: Category) -> Self {
        Self { id: id.to_string(), name, created }
    }
}

/// Reads the name of a new category.
///
/// # Errors
/// What is wrong with it.
pub fn read_name(sent: &Object) -> Result<String, Faults> {
    let mut form = Form::of(sent);
    let name = form.required("name", |form| form.trimmed("name", 1..=64));
    form.done(name)
}

impl Board {
    /// Categories in order, at most `limit` after a name.
    ///
    /// # Errors
    /// What the store says.
    pub async fn categories(&self, after: Option<&str>, limit: usize) -> Result<Vec<CategoryShown>, Error> {
        Ok(self.held().await?.catalog().after(after, limit))
    }

    /// The category of a name, and whether it was made now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn create_category(&self, name: &str) -> Result<(CategoryShown, bool), Error> {
        let _turn = self.desk.counter().await;
        let held = self.held().await?;
        if let Some(known) = held.catalog().get(name) {
            return Ok((known.clone(), false));
        }
        let category = self.category(name);
        self.documents.write(Changes::default().put(&category)).await?;
        held.catalog_mut().put(category.clone());
        Ok((category.into(), true))
    }

    /// The category of a name, if it is a new one; for who has a turn at the counter.
    pub(super) async fn new_category(&self, name: &str) -> Result<Option<Category>, Error> {
        let known = self.held().await?.catalog().get(name).is_some();
        Ok((!known).then(|| self.category(name)))
    }

    /// One name, one id: so that writing it twice is writing it once.
    fn category(&self, name: &str) -> Category {
        let id = Uuid::new_v5(
            &Uuid::NAMESPACE_OID,
            format!("{}/{}", self.owner(), name.to_lowercase()).as_bytes(),
        );
        Category { id, name: name.into(), created: self.now() }
    }
}
