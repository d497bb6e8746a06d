//! A file as it is now, for an engine that must write before it can read: what it writes stays in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use redb::StorageBackend;

const PAGE_BYTES: usize = 4096;

/// The file, and what was written over it.
pub(super) struct Frozen {
    file: File,
    over: RwLock<Over>,
}

/// What was written, by the number of its page.
struct Over {
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
    length: u64,
    /// What the file holds behind it was cut off.
    file_length: u64,
}

impl Frozen {
    /// Needs nothing but to read the file. Nobody may write to it meanwhile.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let over = Over { pages: BTreeMap::new(), length, file_length: length };
        Ok(Self { file, over: RwLock::new(over) })
    }

    /// A page as the file has it; zeros where it has none.
    fn page(&self, number: u64, file_length: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let mut page = Box::new([0; PAGE_BYTES]);
        let start = number.saturating_mul(PAGE_BYTES as u64);
        let there = file_length.saturating_sub(start).min(PAGE_BYTES as u64) as usize;
        self.file.read_exact_at(page.get_mut(..there).unwrap_or_default(), start)?;
        Ok(page)
    }
}

impl StorageBackend for Frozen {
    fn len(&self) -> io::Result<u64> {
        Ok(self.over.read().unwrap_or_else(PoisonError::into_inner).length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = self.over.read().unwrap_or_else(PoisonError::into_inner);
        if offset.saturating_add(out.len() as u64) > over.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, out);
        while !rest.is_empty() {
            let (number, within, bytes) = piece(at, rest.len());
            let (part, behind) = rest.split_at_mut(bytes);
            let fresh;
            let page = match over.pages.get(&number) {
                Some(page) => page,
                None => {
                    fresh = self.page(number, over.file_length)?;
                    &fresh
                }
            };
            part.iter_mut().zip(page.iter().skip(within)).for_each(|(to, from)| *to = *from);
            at += bytes as u64;
            rest = behind;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut over = self.over.write().unwrap_or_else(PoisonError::into_inner);
        let (last, within, _) = piece(length, 0);
        if length < over.length && within > 0 {
            let mut page = over.pages.remove(&last).map_or_else(|| self.page(last, over.file_length), Ok)?;
            page.iter_mut().skip(within).for_each(|byte| *byte = 0);
            over.pages.insert(last, page);
        }
        over.pages.retain(|number, _| number.saturating_mul(PAGE_BYTES as u64) < length);
        over.length = length;
        over.file_length = over.file_length.min(length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = self.over.write().unwrap_or_else(PoisonError::into_inner);
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let (number, within, bytes) = piece(at, rest.len());
            let (part, behind) = rest.split_at(bytes);
            let mut page =
                over.pages.remove(&number).map_or_else(|| self.page(number, over.file_length), Ok)?;
            page.iter_mut().skip(within).zip(part).for_each(|(to, from)| *to = *from);
            over.pages.insert(number, page);
            at += bytes as u64;
            rest = behind;
        }
        over.length = over.length.max(at);
        Ok(())
    }
}

/// Of so many bytes from an offset on: the page they begin in, where in it, and how many of them it has.
fn piece(offset: u64, bytes: usize) -> (u64, usize, usize) {
    let within = (offset % PAGE_BYTES as u64) as usize;
    (offset / PAGE_BYTES as u64, within, bytes.min(PAGE_BYTES - within))
}

/// Not what it holds.
impl fmt::Debug for Frozen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Frozen").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    /// All of it, read at once.
    fn all(frozen: &Frozen) -> Vec<u8> {
        let mut found = vec![9; frozen.len().unwrap() as usize];
        frozen.read(0, &mut found).unwrap();
        found
    }

    #[test]
    fn it_reads_as_if_it_was_written_to_and_the_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut bytes = vec![b'a'; 10_000];
        std::fs::write(&path, &bytes).unwrap();
        let frozen = Frozen::open(&path).unwrap();
        assert_eq!(all(&frozen), bytes);
        frozen.write(4000, &[b'b'; 5000]).unwrap();
        bytes.splice(4000..9000, [b'b'; 5000]);
        assert_eq!(all(&frozen), bytes);
        frozen.set_len(6000).unwrap();
        bytes.truncate(6000);
        assert_eq!(all(&frozen), bytes);
        frozen.set_len(12_000).unwrap();
        bytes.resize(12_000, 0);
        assert_eq!(all(&frozen), bytes);
        frozen.write(11_999, b"cc").unwrap();
        bytes.splice(11_999.., *b"cc");
        assert_eq!(all(&frozen), bytes);
        assert!(frozen.read(12_000, &mut [0; 2]).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), [b'a'; 10_000]);
    }
}
