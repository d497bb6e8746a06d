//! Relations of a board: made and taken away on both sides at once.

use uuid::Uuid;

use super::Board;
use super::entry::{Actor, EntryType, IssueShown, Saying};
use super::error::Error;
use super::issue::Issue;
use super::relation::{self, NewRelation, Relation};
use super::work::Work;
use crate::domain::time::Timestamp;

/// A relation as it is seen from an issue.
#[derive(Debug, Clone, PartialEq)]
pub struct RelationSeen {
    /// The relation.
    pub relation: Relation,
    /// The other issue, as it is now.
    pub other: Issue,
}

/// A relation's place in a list.
pub type RelationPlace = (Timestamp, Uuid);

impl Board {
    /// Ties an issue to another; the relation that is there already, if it is, and whether it was made now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such issue, here or there; [`Error::Invalid`] if they are one; what the
    /// store says.
    pub async fn relate(
        &self,
        id: Uuid,
        new: NewRelation,
        by: &Actor,
    ) -> Result<(RelationSeen, bool), Error> {
        let mut work = self.work_on_two(id, new.to).await?;
        if new.to == id {
            return Err(Error::invalid("related_issue_id", "must be another issue"));
        }
        let now = work.now;
        let target = work.other(new.to).await?;
        let known = self.documents.get::<Relation>(&Relation::id_of(id, &new).to_string()).await?;
        if let Some(known) = known {
            return Ok((RelationSeen { relation: known.value, other: target.issue.clone() }, false));
        }
        let relation = Relation {
            id: Relation::id_of(id, &new),
            from: id,
            to: new.to,
            kind: new.kind,
            author: Some(by.id.clone()),
            created: now,
        };
        self.say_on_both(&mut work, &relation, EntryType::RelationAdded, by).await?;
        work.write(|changes| changes.create(&relation));
        let other = work.other(new.to).await?.issue.clone();
        work.save().await?;
        Ok((RelationSeen { relation, other }, true))
    }

    /// Unties an issue, from either side.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn unrelate(&self, id: Uuid, relation: Uuid, by: &Actor) -> Result<(), Error> {
        self.issue(id).await?;
        let found = self.relation_of(id, relation).await?;
        let mut work = self.work_on_two(id, found.other(id)).await?;
        // Somebody may have been faster.
        let relation = self.relation_of(id, relation).await?;
        self.untie(&mut work, &relation, by).await?;
        work.save().await.map(drop)
    }

    async fn relation_of(&self, issue: Uuid, relation: Uuid) -> Result<Relation, Error> {
        let found = self.documents.get::<Relation>(&relation.to_string()).await?;
        let found = found.filter(|relation| relation.from == issue || relation.to == issue);
        Ok(found.ok_or(Error::NotFound("Relation"))?.value)
    }

    /// Takes a relation away with some work on both issues.
    pub(super) async fn untie(&self, work: &mut Work, relation: &Relation, by: &Actor) -> Result<(), Error> {
        self.say_on_both(work, relation, EntryType::RelationRemoved, by).await?;
        work.write(|changes| changes.delete::<Relation>(&relation.id.to_string()));
        Ok(())
    }

    async fn say_on_both(
        &self,
        work: &mut Work,
        relation: &Relation,
        kind: EntryType,
        by: &Actor,
    ) -> Result<(), Error> {
        let now = work.now;
        let here: IssueShown = (&work.main.issue).into();
        let other = work.other(relation.other(here.id)).await?;
        let there: IssueShown = (&other.issue).into();
        other.issue.count_relation(kind, now);
        other.say(self.fresh(), tied(kind, relation, by, here), now);
        work.main.issue.count_relation(kind, now);
        work.say(tied(kind, relation, by, there));
        Ok(())
    }

    /// An issue's relations, newest first, at most `limit` after a place; and where the list goes on.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn relations(
        &self,
        id: Uuid,
        after: Option<RelationPlace>,
        limit: usize,
    ) -> Result<(Vec<RelationSeen>, Option<RelationPlace>), Error> {
        self.issue(id).await?;
        let mut relations = self.documents.all::<Relation>(Some(relation::source(id))).await?;
        relations.extend(self.documents.all::<Relation>(Some(relation::target(id))).await?);
        let place = |relation: &Relation| (relation.created, relation.id);
        relations.retain(|relation| after.is_none_or(|after| place(relation) < after));
        relations.sort_by_key(|relation| std::cmp::Reverse(place(relation)));
        let more = relations.len() > limit;
        relations.truncate(limit);
        let next = relations.last().filter(|_| more).map(|last| place(last));
        let others = relations.iter().map(|relation| relation.other(id).to_string());
        let others = self.documents.several::<Issue>(others).await?;
        let seen = relations.into_iter().zip(others);
        let seen = seen.filter_map(|(relation, other)| {
            Some(RelationSeen { relation: relation.value, other: other?.value })
        });
        Ok((seen.collect(), next))
    }
}

impl Issue {
    pub(super) fn count_relation(&mut self, kind: EntryType, now: Timestamp) {
        let is_new = kind == EntryType::RelationAdded;
        self.relations =
            if is_new { self.relations.saturating_add(1) } else { self.relations.saturating_sub(1) };
        self.updated = self.updated.max(now);
    }
}

/// Says on one side that it was tied to the other, or untied.
pub(super) fn tied(kind: EntryType, relation: &Relation, by: &Actor, other: IssueShown) -> Saying {
    let done = if kind == EntryType::RelationAdded { "added" } else { "removed" };
    let detail = format!("Relation {} to {} {done}", relation.kind, other.triage_id);
    let mut saying = Saying::new(kind, by.clone(), detail)
        .with("relation_id", relation.id.to_string())
        .with("relation_type", relation.kind.as_str());
    saying.issues.push(other);
    saying
}
