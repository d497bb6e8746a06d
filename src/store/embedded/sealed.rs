//! What every value is wrapped in: a byte of format and a checksum over key and payload.
//!
//! The key is part of the sum, so that a value that turns up in the wrong place is noticed too.

use crate::store::StoreError;

const FORMAT: u8 = 1;

/// Longest payload of a value. sled keeps larger pages in files that it never syncs, so a value stays below
/// 4 KiB and longer things are stored in parts.
pub(super) const PART_BYTES: usize = 4000;

/// The value as it is stored.
pub(super) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(payload.len() + 5);
    value.push(FORMAT);
    value.extend(checksum(key, payload));
    value.extend(payload);
    value
}

/// What was sealed; nothing if it was altered since.
pub(super) fn open<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (sum, payload) = value.strip_prefix(&[FORMAT])?.split_first_chunk::<4>()?;
    (*sum == checksum(key, payload)).then_some(payload)
}

/// A sealed number.
pub(super) fn seal_number(key: &[u8], number: u64) -> Vec<u8> {
    seal(key, &number.to_be_bytes())
}

/// The number that was sealed.
///
/// # Errors
/// [`StoreError::Damaged`] names `what` it is the number of.
pub(super) fn open_number(
    key: &[u8],
    value: &[u8],
    what: impl FnOnce() -> String,
) -> Result<u64, StoreError> {
    open(key, value)
        .and_then(|payload| payload.try_into().ok())
        .map(u64::from_be_bytes)
        .ok_or_else(|| StoreError::Damaged(what().into()))
}

fn checksum(key: &[u8], payload: &[u8]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key);
    sum.update(payload);
    sum.finalize().to_be_bytes()
}
