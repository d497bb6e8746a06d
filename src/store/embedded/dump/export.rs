//! From a store to a file.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::line::{Begin, Body, End, EntryLine, FORMAT, Line, RecordLine, hex};
use super::source::Source;
use super::walk::{Names, Sink, walk};
use super::{DumpError, Seen, Tell};
use crate::domain::document::Key;
use crate::domain::fact::Entry;
use crate::store::embedded::keys::List;
use crate::store::embedded::records::Header;
use crate::store::{Log, StoreConfig};

/// Writes all that can be read of the store in `folder` to `out`; what cannot is told. Blocks.
///
/// # Errors
/// [`DumpError`] if nothing can be read at all, or `out` takes no more.
pub fn export(
    config: &StoreConfig,
    folder: &Path,
    out: &mut dyn Write,
    tell: &mut Tell<'_>,
) -> Result<Seen, DumpError> {
    let mut damaged = 0;
    let mut source = Source::open(config, folder, &mut |what| {
        damaged += 1;
        tell(what);
    })?;
    let seen = Seen { damaged, ..Seen::default() };
    let mut writer = Writer { out, sum: Sha256::new(), buffer: Vec::new(), seen, log: None, tell };
    let program = env!("CARGO_PKG_VERSION").into();
    writer.line(&Line::Export(Begin { of: Begin::OF.into(), format: FORMAT, program }))?;
    walk(&mut source, &mut Names::default(), &mut writer)?;
    let Seen { readable, damaged } = writer.seen;
    let sha256 = hex(&writer.sum.clone().finalize()).into();
    writer.line(&Line::End(End { counts: readable, damaged, sha256 }))?;
    writer.out.flush()?;
    Ok(writer.seen)
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    sum: Sha256,
    buffer: Vec<u8>,
    seen: Seen,
    /// The one whose entries come now.
    log: Option<Log>,
    tell: &'a mut Tell<'a>,
}

impl Writer<'_> {
    fn line(&mut self, line: &Line<'_>) -> Result<(), DumpError> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line).map_err(std::io::Error::from)?;
        self.buffer.push(b'\n');
        self.sum.update(&self.buffer);
        Ok(self.out.write_all(&self.buffer)?)
    }
}

impl Sink for Writer<'_> {
    fn record(&mut self, key: &Key, header: &Header, body: &Bytes) -> Result<(), DumpError> {
        self.seen.readable.records += 1;
        self.line(&Line::Record(RecordLine {
            owner: key.owner.as_str().into(),
            kind: key.kind.0.into(),
            id: key.id.as_str().into(),
            version: header.version,
            sort: header.sort,
            listed: header.lists.contains(&List::every()),
            tags: header.lists.iter().filter_map(List::tag).collect(),
            body: Body::of(body),
        }))
    }

    fn entry(&mut self, log: &Log, _: &Entry, json: &str) -> Result<(), DumpError> {
        if self.log.as_ref() != Some(log) {
            self.seen.readable.logs += 1;
            self.log = Some(log.clone());
        }
        self.seen.readable.entries += 1;
        let entry: &RawValue = serde_json::from_str(json).map_err(std::io::Error::from)?;
        self.line(&Line::Entry(EntryLine {
            owner: log.owner.as_str().into(),
            session: log.session.as_str().into(),
            entry: Cow::Borrowed(entry),
        }))
    }

    fn damaged(&mut self, what: &str) {
        self.seen.damaged += 1;
        (self.tell)(what);
    }
}
