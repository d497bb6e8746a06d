//! What is in a file, in pages: as it is read now, and as it is after a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dice::Dice;

/// What a disk writes whole or not at all, in bytes.
pub(super) const PAGE: u64 = 4096;

type Page = Arc<[u8; PAGE as usize]>;

/// A file.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    now: Version,
    synced: Version,
    /// Pages written since the last sync.
    dirty: BTreeSet<u64>,
}

#[derive(Debug, Default, Clone)]
struct Version {
    size: u64,
    /// A page that is not there holds zeros and takes no room.
    pages: BTreeMap<u64, Page>,
}

impl Content {
    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.now.size
    }

    /// The room it takes, in pages.
    pub(super) fn pages(&self) -> u64 {
        self.now.pages.len() as u64
    }

    /// The pages a write of this part would add.
    pub(super) fn pages_for(&self, offset: u64, length: u64) -> u64 {
        let touched = offset / PAGE..(offset + length).div_ceil(PAGE);
        touched.filter(|page| !self.now.pages.contains_key(page)).count() as u64
    }

    /// Up to `length` bytes.
    pub(super) fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let end = self.now.size.min(offset + length);
        let mut found = Vec::with_capacity(end.saturating_sub(offset) as usize);
        for (page, part) in parts(offset, end) {
            match self.now.pages.get(&page) {
                Some(bytes) => found.extend_from_slice(&bytes[part]),
                None => found.resize(found.len() + part.len(), 0),
            }
        }
        found
    }

    /// Writes, and grows if need be.
    pub(super) fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        for (page, part) in parts(offset, end) {
            let (now, rest) = bytes.split_at(part.len());
            let whole = self.now.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(whole)[part].copy_from_slice(now);
            self.dirty.insert(page);
            bytes = rest;
        }
        self.now.size = self.now.size.max(end);
    }

    /// Cuts it off, or lets it end in zeros.
    pub(super) fn resize(&mut self, size: u64) {
        if size < self.now.size {
            let gone = self.now.pages.split_off(&size.div_ceil(PAGE));
            self.dirty.extend(gone.into_keys());
            let last = size / PAGE;
            if let Some(page) = self.now.pages.get_mut(&last) {
                Arc::make_mut(page)[(size % PAGE) as usize..].fill(0);
                self.dirty.insert(last);
            }
        }
        self.now.size = size;
    }

    /// All of it outlives a power cut.
    pub(super) fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            self.synced.take_page(&self.now, page);
        }
        self.synced.size = self.now.size;
    }

    /// What should have been synced is taken for clean, and is not.
    pub(super) fn fail_sync(&mut self) {
        self.dirty.clear();
    }

    /// What is left is what was synced and, if some survives, any of the pages written since.
    pub(super) fn cut(&mut self, some_survives: bool, dice: &mut Dice) {
        let mut left = self.synced.clone();
        if some_survives {
            left.size = match dice.below(3) {
                0 => self.now.size,
                1 => left.size,
                _ => {
                    let (least, most) = (left.size.min(self.now.size), left.size.max(self.now.size));
                    (least + dice.below(most - least + 1)).next_multiple_of(PAGE).min(most)
                }
            };
            for page in &self.dirty {
                if dice.chance(50) {
                    left.take_page(&self.now, *page);
                }
            }
        }
        left.pages.split_off(&left.size.div_ceil(PAGE));
        *self = Self { now: left.clone(), synced: left, dirty: BTreeSet::new() };
    }
}

impl Version {
    fn take_page(&mut self, from: &Self, page: u64) {
        match from.pages.get(&page) {
            Some(bytes) => self.pages.insert(page, Arc::clone(bytes)),
            None => self.pages.remove(&page),
        };
    }
}

/// The pages of a part of a file, and which of their bytes.
fn parts(start: u64, end: u64) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    (start / PAGE..end.div_ceil(PAGE)).filter(move |_| start < end).map(move |page| {
        let first = start.max(page * PAGE) - page * PAGE;
        let last = end.min((page + 1) * PAGE) - page * PAGE;
        (page, first as usize..last as usize)
    })
}
