//! Evidence of a board's issues: attached, detached, and flags on its calls.

use uuid::Uuid;

use super::Board;
use super::entry::{Actor, EntryType, LinkShown, Saying, of_issue};
use super::error::Error;
use super::evidence::{Resource, ResourceType};
use super::flag::{Flag, FlagType, Mark};
use super::issue::{Issue, ResourceRef};
use super::issues::attached;
use super::link::Link;
use super::page::Part;
use super::work::Work;
use crate::domain::document::Place;

impl Board {
    /// Attaches evidence that is known here; the link that is there already, if it is, and whether it was made now.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the issue or the evidence; what the store says.
    pub async fn attach(
        &self,
        issue: Uuid,
        evidence: &ResourceRef,
        by: &Actor,
    ) -> Result<(LinkShown, Issue, bool), Error> {
        let mut work = self.work(issue).await?;
        let found = self.resolve(evidence.kind, &evidence.id).await?;
        if let Some(link) = self.documents.get::<Link>(&Link::id_of(issue, evidence).to_string()).await? {
            let shown = LinkShown { link: link.value, available: found.is_some() };
            return Ok((shown, work.main.issue, false));
        }
        let found: Resource = found.ok_or(Error::NotFound("Resource"))?;
        let link = Link::new(issue, evidence, Some(&found), &by.id, work.now);
        *work.main.issue.links.of(evidence.kind) += 1;
        work.touch();
        work.say(attached(link.clone(), true, by));
        work.write(|changes| changes.create(&link));
        Ok((LinkShown { link, available: true }, work.save().await?, true))
    }

    /// Detaches evidence, and takes away the flags on it. The evidence stays.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn detach(&self, issue: Uuid, link: Uuid, by: &Actor) -> Result<(), Error> {
        let mut work = self.work(issue).await?;
        let link = self.documents.get::<Link>(&link.to_string()).await?;
        let link = link.filter(|link| link.issue == issue).ok_or(Error::NotFound("Resource"))?.value;
        let available = self.resolve(link.resource_type, &link.resource_id).await?.is_some();
        let shown = LinkShown { link, available };
        if shown.link.resource_type == ResourceType::Call {
            for flag in self.documents.all::<Flag>(Some(of_issue(issue))).await? {
                if flag.mark.call_id == shown.link.resource_id {
                    work.take_down(flag.value, shown.clone(), by);
                }
            }
        }
        let count = work.main.issue.links.of(shown.link.resource_type);
        *count = count.saturating_sub(1);
        work.touch();
        work.write(|changes| changes.delete::<Link>(&shown.link.id.to_string()));
        let detail = format!("Detached {}", shown.link.title);
        work.say(Saying::new(EntryType::ResourceRemoved, by.clone(), detail).about(shown));
        work.save().await.map(drop)
    }

    /// An issue's evidence, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn links(
        &self,
        issue: Uuid,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Part<LinkShown>, Error> {
        self.issue(issue).await?;
        let part = self.part::<Link>(of_issue(issue), true, after, limit).await?;
        let mut shown = Vec::with_capacity(part.items.len());
        for link in part.items {
            shown.push(self.shown(link).await?);
        }
        Ok(Part { items: shown, next: part.next })
    }

    /// A link, and whether its evidence is there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn shown(&self, link: Link) -> Result<LinkShown, Error> {
        let available = self.resolve(link.resource_type, &link.resource_id).await?.is_some();
        Ok(LinkShown { link, available })
    }

    /// Some links of an issue by their ids, as evidence for an entry.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming those that are not the issue's; what the store says.
    pub(super) async fn links_named(&self, issue: Uuid, ids: &[Uuid]) -> Result<Vec<LinkShown>, Error> {
        let mut shown = Vec::with_capacity(ids.len());
        let mut faults = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let link = self.documents.get::<Link>(&id.to_string()).await?;
            match link.filter(|link| link.issue == issue) {
                Some(link) => shown.push(self.shown(link.value).await?),
                None => faults.push(super::form::Fault {
                    path: format!("resource_link_ids.{index}"),
                    message: "must be a resource link of this issue".into(),
                }),
            }
        }
        if faults.is_empty() { Ok(shown) } else { Err(Error::Invalid(super::form::Faults(faults))) }
    }

    /// Marks a moment of an attached call.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] if the call is not attached; what the store says.
    pub async fn flag(&self, issue: Uuid, mark: Mark, by: &Actor) -> Result<Flag, Error> {
        self.flag_as(self.fresh(), issue, mark, by).await
    }

    /// The same under a name of its writer's choice: the flag that is there already, if it is.
    ///
    /// # Errors
    /// As [`Board::flag`].
    pub async fn flag_as(&self, id: Uuid, issue: Uuid, mark: Mark, by: &Actor) -> Result<Flag, Error> {
        let mut work = self.work(issue).await?;
        if let Some(known) = self.documents.get::<Flag>(&id.to_string()).await? {
            return Ok(known.value);
        }
        let link = self
            .call_link(issue, &mark.call_id)
            .await?
            .ok_or_else(|| Error::conflict("call_not_attached", "Call must be attached to issue first"))?;
        let shown = self.shown(link).await?;
        let flag = Flag { id, issue, mark, author: by.id.clone(), created: work.now };
        work.main.issue.flags = work.main.issue.flags.saturating_add(1);
        work.touch();
        work.say(flagged(EntryType::FlagAdded, &flag, shown, by));
        work.raise(flag.clone());
        work.save().await?;
        Ok(flag)
    }

    /// Takes a mark away.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn unflag(&self, issue: Uuid, flag: Uuid, by: &Actor) -> Result<(), Error> {
        let mut work = self.work(issue).await?;
        let flag = self.documents.get::<Flag>(&flag.to_string()).await?;
        let flag = flag.filter(|flag| flag.issue == issue).ok_or(Error::NotFound("Flag"))?.value;
        let link = self.call_link(issue, &flag.mark.call_id).await?.ok_or(Error::NotFound("Resource"))?;
        let shown = self.shown(link).await?;
        work.take_down(flag, shown, by);
        work.touch();
        work.save().await.map(drop)
    }

    /// An issue's flags, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn flags(&self, issue: Uuid, after: Option<Place>, limit: usize) -> Result<Part<Flag>, Error> {
        self.issue(issue).await?;
        self.part(of_issue(issue), true, after, limit).await
    }

    /// All types of flags that are used, the most used first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn flag_types(&self) -> Result<Vec<FlagType>, Error> {
        Ok(self.held().await?.flag_types().list())
    }

    /// The link to a call, if it is attached as one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn call_link(&self, issue: Uuid, call: &str) -> Result<Option<Link>, Error> {
        let evidence = ResourceRef { kind: ResourceType::Call, id: call.into() };
        let link = self.documents.get::<Link>(&Link::id_of(issue, &evidence).to_string()).await?;
        Ok(link.map(|link| link.value))
    }
}

impl Work {
    fn take_down(&mut self, flag: Flag, shown: LinkShown, by: &Actor) {
        let issue = &mut self.main.issue;
        issue.flags = issue.flags.saturating_sub(1);
        self.say(flagged(EntryType::FlagRemoved, &flag, shown, by));
        self.lower(flag);
    }
}

fn flagged(kind: EntryType, flag: &Flag, call: LinkShown, by: &Actor) -> Saying {
    let done = if kind == EntryType::FlagAdded { "raised" } else { "removed" };
    let detail = format!("Flag {} {done} on {}", flag.mark.kind, call.link.title);
    Saying::new(kind, by.clone(), detail)
        .with("flag_id", flag.id.to_string())
        .with("type", flag.mark.kind.as_str())
        .with("message_index", flag.mark.message_index)
        .about(call)
}
