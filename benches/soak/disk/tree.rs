//! Files and folders, and which of their names would be there after a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use fuser::Errno;

use super::content::{Content, PAGE};
use crate::dice::Dice;

/// The number of a file or folder.
pub(super) type Number = u64;

/// The folder that is mounted.
const ROOT: Number = 1;

type Names = BTreeMap<OsString, Number>;
/// Names that change together, and what they are names of then.
type Change = Vec<(OsString, Option<Number>)>;

/// A file or a folder.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) kind: Kind,
}

/// Which of the two.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    File(Content),
    Folder(Folder),
}

/// Names, as they are now, as they were when the folder was synced, and what happened in between.
#[derive(Debug, Clone, Default)]
pub(super) struct Folder {
    pub(super) names: Names,
    synced: Names,
    since: Vec<Change>,
}

impl Folder {
    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.since.push(change);
    }

    fn cut(&mut self, some_survives: bool, dice: &mut Dice) {
        let survive = if some_survives { dice.below(self.since.len() as u64 + 1) } else { 0 };
        self.since.iter().take(survive as usize).for_each(|change| apply(&mut self.synced, change));
        self.since.clear();
        self.names = self.synced.clone();
    }
}

fn apply(names: &mut Names, change: &Change) {
    for (name, node) in change {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

/// All of them. None is thrown away before a power cut, for until then its name may come back.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<Number, Node>,
    next: Number,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { mode: 0o755, kind: Kind::Folder(Folder::default()) };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }
}

impl Tree {
    pub(super) fn node(&self, number: Number) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn node_mut(&mut self, number: Number) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn folder(&self, number: Number) -> Result<&Folder, Errno> {
        match &self.node(number)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn folder_mut(&mut self, number: Number) -> Result<&mut Folder, Errno> {
        match &mut self.node_mut(number)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn file(&mut self, number: Number) -> Result<&mut Content, Errno> {
        match &mut self.node_mut(number)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }

    pub(super) fn find(&self, folder: Number, name: &OsStr) -> Result<Number, Errno> {
        self.folder(folder)?.names.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn create(
        &mut self,
        folder: Number,
        name: &OsStr,
        mode: u32,
        kind: Kind,
    ) -> Result<Number, Errno> {
        if self.find(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let number = self.next;
        self.folder_mut(folder)?.change(vec![(name.into(), Some(number))]);
        self.next += 1;
        self.nodes.insert(number, Node { mode, kind });
        Ok(number)
    }

    pub(super) fn remove(&mut self, folder: Number, name: &OsStr) -> Result<(), Errno> {
        let found = self.find(folder, name)?;
        if let Kind::Folder(found) = &self.node(found)?.kind
            && !found.names.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder_mut(folder)?.change(vec![(name.into(), None)]);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        (from, old): (Number, &OsStr),
        (to, new): (Number, &OsStr),
    ) -> Result<(), Errno> {
        let node = self.find(from, old)?;
        if let Ok(replaced) = self.find(to, new)
            && let Kind::Folder(replaced) = &self.node(replaced)?.kind
            && !replaced.names.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        let mut change = vec![(old.to_owned(), None)];
        if from == to {
            change.push((new.to_owned(), Some(node)));
        } else {
            self.folder_mut(to)?.change(vec![(new.to_owned(), Some(node))]);
        }
        self.folder_mut(from)?.change(change);
        Ok(())
    }

    /// Names, not what they are names of.
    pub(super) fn sync_folder(&mut self, number: Number) -> Result<(), Errno> {
        let folder = self.folder_mut(number)?;
        folder.since.clear();
        folder.synced = folder.names.clone();
        Ok(())
    }

    /// Bytes of all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let nodes = self.reachable().into_iter().filter_map(|number| self.nodes.get(&number));
        let pages = nodes.map(|node| match &node.kind {
            Kind::File(content) => content.pages(),
            Kind::Folder(_) => 0,
        });
        pages.sum::<u64>() * PAGE
    }

    /// Half of the cuts lose all that was not synced, the others some of it.
    pub(super) fn cut(&mut self, dice: &mut Dice) {
        let some_survives = dice.chance(50);
        for node in self.nodes.values_mut() {
            match &mut node.kind {
                Kind::File(content) => content.cut(some_survives, dice),
                Kind::Folder(folder) => folder.cut(some_survives, dice),
            }
        }
        let kept = self.reachable();
        self.nodes.retain(|number, _| kept.contains(number));
    }

    fn reachable(&self) -> BTreeSet<Number> {
        let mut found = BTreeSet::new();
        let mut open = vec![ROOT];
        while let Some(number) = open.pop() {
            if found.insert(number)
                && let Ok(folder) = self.folder(number)
            {
                open.extend(folder.names.values());
            }
        }
        found
    }
}
