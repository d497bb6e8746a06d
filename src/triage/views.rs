//! Who has seen how much of an issue's feed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Board;
use super::entry::of_issue;
use super::error::Error;
use super::issue::Issue;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::{Changes, Document};

/// How far somebody has seen an issue's feed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct View {
    pub(super) issue: Uuid,
    pub(super) viewer: String,
    /// The last number that was given out then.
    pub(super) seen: u64,
    pub(super) at: Timestamp,
}

impl View {
    fn key(issue: Uuid, viewer: &str) -> String {
        format!("{issue}/{viewer}")
    }
}

impl Document for View {
    const KIND: RecordKind = RecordKind("triage_view");

    fn id(&self) -> String {
        Self::key(self.issue, &self.viewer)
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.at.0, listed: false, names: vec![of_issue(self.issue)] }
    }
}

/// An issue as somebody sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct IssueSeen {
    /// The issue.
    pub issue: Issue,
    /// Whether its feed has an entry this viewer has not seen.
    pub is_unread: bool,
}

impl Board {
    /// An issue as this viewer sees it.
    ///
    /// # Errors
    /// Those of [`issue`](Self::issue).
    pub async fn issue_seen_by(&self, id: Uuid, viewer: &str) -> Result<IssueSeen, Error> {
        let issue = self.issue(id).await?;
        self.seen_by(issue, viewer).await
    }

    /// The same issue as this viewer sees it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn seen_by(&self, issue: Issue, viewer: &str) -> Result<IssueSeen, Error> {
        let view = self.documents.get::<View>(&View::key(issue.id, viewer)).await?;
        let is_unread = view.is_none_or(|view| view.seen < issue.newest);
        Ok(IssueSeen { issue, is_unread })
    }

    /// Issues as this viewer sees them, in order, without those that are not there any more.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn each_seen_by(&self, ids: &[Uuid], viewer: &str) -> Result<Vec<IssueSeen>, Error> {
        let issues = self.documents.several::<Issue>(ids.iter().map(Uuid::to_string));
        let views = self.documents.several::<View>(ids.iter().map(|id| View::key(*id, viewer)));
        let (issues, views) = futures::try_join!(issues, views)?;
        let seen = issues.into_iter().zip(views).filter_map(|(issue, view)| {
            let issue = issue?.value;
            let is_unread = view.is_none_or(|view| view.seen < issue.newest);
            Some(IssueSeen { issue, is_unread })
        });
        Ok(seen.collect())
    }

    /// Notes that somebody has seen an issue; returns when.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn view_issue(&self, id: Uuid, viewer: &str) -> Result<Timestamp, Error> {
        // Not while it is being taken away.
        let leave = self.desk.leave(id).await;
        let issue = self.issue(id).await?;
        let at = self.now();
        let view = View { issue: id, viewer: viewer.into(), seen: issue.feed, at };
        self.documents.write(Changes::default().put(&view)).await?;
        drop(leave);
        Ok(at)
    }
}
