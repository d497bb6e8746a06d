//! Floor 4, who may come in: bearer tokens, kept as hashes in one file of the data folder.
//!
//! The file is written by the server's first start and by `runhold token`, and watched by a running server, so
//! that a token made or revoked beside it counts within a second.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::clock::Clock;
use crate::domain::id::Owner;
use crate::domain::time::Timestamp;

/// What every token starts with, so that scanners for leaked secrets can know it.
pub const TOKEN_PREFIX: &str = "rh_";
/// How often a running server looks whether the file changed.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// Longest name of a token, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Somebody whose token is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it is.
    pub owner: Owner,
    /// The token's name.
    pub name: String,
}

/// A token as it is kept: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Unique among tokens that are not revoked.
    pub name: String,
    /// Whose data it opens.
    pub owner: Owner,
    /// SHA-256 of the token, in hex.
    pub hash: String,
    /// Its last four characters, to tell tokens apart.
    pub ends_with: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl Token {
    /// Whether it opens anything at this time.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|end| now < end)
    }
}

/// A token in clear, shown once and never kept. Has neither `Debug` nor `Display`.
pub struct Clear(String);

impl Clear {
    /// The text; only for showing it to who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Why tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The file is not what we write.
    #[error("{} holds no list of tokens: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A live token has this name already.
    #[error("there is a token `{0}` already; revoke it first or choose another name")]
    NameTaken(String),
    /// No live token has this name.
    #[error("there is no token `{0}`")]
    NoToken(String),
    /// Not a name.
    #[error("a token's name has 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`, not `{0}`")]
    BadName(String),
    /// A configured token that keeps nobody out.
    #[error("the configured token is empty")]
    Empty,
    /// The system has no randomness.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// The file of tokens, for whoever changes it.
#[derive(Debug, Clone)]
pub struct TokenFile(PathBuf);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Listing {
    tokens: Vec<Token>,
}

impl TokenFile {
    /// The file of a data folder.
    pub fn in_folder(data: &Path) -> Self {
        Self(data.join("tokens.json"))
    }

    /// All tokens ever made, oldest first; none if there is no file.
    ///
    /// # Errors
    /// [`AccessError::Io`] or [`AccessError::Malformed`].
    pub fn list(&self) -> Result<Vec<Token>, AccessError> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.io(error)),
        };
        let malformed = |source| AccessError::Malformed { path: self.0.clone(), source };
        serde_json::from_slice::<Listing>(&text).map(|listing| listing.tokens).map_err(malformed)
    }

    /// Makes a token; it is given out here and never again.
    ///
    /// # Errors
    /// A name that is none or taken, or the file cannot be written.
    pub fn create(
        &self,
        name: &str,
        owner: Owner,
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<Clear, AccessError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(fits) {
            return Err(AccessError::BadName(name.escape_debug().to_string()));
        }
        let clear = generate()?;
        self.change(|tokens| {
            if tokens.iter().any(|token| token.name == name && token.is_live(created)) {
                return Err(AccessError::NameTaken(name.into()));
            }
            let end = clear.0.len().saturating_sub(4);
            tokens.push(Token {
                name: name.into(),
                owner,
                hash: hex(&hash(clear.0.as_bytes())),
                ends_with: clear.0.get(end..).unwrap_or_default().into(),
                created,
                expires,
                revoked: None,
            });
            Ok(())
        })?;
        Ok(clear)
    }

    /// Takes a token back; a running server refuses it within a second.
    ///
    /// # Errors
    /// [`AccessError::NoToken`], or the file cannot be written.
    pub fn revoke(&self, name: &str, now: Timestamp) -> Result<(), AccessError> {
        self.change(|tokens| {
            let mut found = tokens.iter_mut().filter(|token| token.name == name && token.revoked.is_none());
            let token = found.next().ok_or_else(|| AccessError::NoToken(name.into()))?;
            token.revoked = Some(now);
            Ok(())
        })
    }

    /// Reads, changes and replaces the file; two programs doing so wait for each other.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| self.io(error))?;
        let lock = private(&self.0.with_extension("lock")).map_err(|error| self.io(error))?;
        lock.lock().map_err(|error| self.io(error))?;
        let mut tokens = self.list()?;
        change(&mut tokens)?;
        self.write(folder, &Listing { tokens }).map_err(|error| self.io(error))
    }

    /// Replaces the file whole: a crash leaves the old one or the new one.
    fn write(&self, folder: &Path, listing: &Listing) -> std::io::Result<()> {
        let draft = self.0.with_extension("new");
        if let Err(error) = fs::remove_file(&draft)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = private(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(listing)?)?;
        file.sync_all()?;
        fs::rename(&draft, &self.0)?;
        File::open(folder)?.sync_all()
    }

    fn io(&self, source: std::io::Error) -> AccessError {
        AccessError::Io { path: self.0.clone(), source }
    }

    /// Changes whenever the file is replaced; `None` without a file.
    fn stamp(&self) -> Option<Stamp> {
        let about = fs::metadata(&self.0).ok()?;
        Some(Stamp {
            inode: about.ino(),
            seconds: about.mtime(),
            nanos: about.mtime_nsec(),
            bytes: about.len(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    seconds: i64,
    nanos: i64,
    bytes: u64,
}

/// A file only its owner may read.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The doorkeeper of a running server.
pub struct Tokens {
    file: TokenFile,
    clock: Arc<dyn Clock>,
    configured: Option<(Principal, Hash)>,
    known: Mutex<Known>,
}

/// What was last read of the file.
struct Known {
    tokens: Vec<(Token, Hash)>,
    stamp: Option<Stamp>,
    looked: Instant,
}

type Hash = [u8; 32];

impl Tokens {
    /// Opens the data folder's tokens. `configured` is a token of the configuration, valid beside the file's.
    ///
    /// Where neither is one, a token is made, named `first`, and given back to be shown, once.
    ///
    /// # Errors
    /// The file cannot be read or written, or the configured token is empty.
    pub fn open(
        data: &Path,
        configured: Option<&str>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Option<Clear>), AccessError> {
        let file = TokenFile::in_folder(data);
        let owner = default_owner()?;
        let configured = match configured.map(str::trim) {
            Some("") => return Err(AccessError::Empty),
            Some(text) => {
                let principal = Principal { owner: owner.clone(), name: "configured".into() };
                Some((principal, hash(text.as_bytes())))
            }
            None => None,
        };
        let mut first = None;
        if configured.is_none() && file.stamp().is_none() {
            first = Some(file.create("first", owner, clock.now(), None)?);
        }
        let stamp = file.stamp();
        let known = Known { tokens: hashed(file.list()?), stamp, looked: Instant::now() };
        Ok((Self { file, clock, configured, known: Mutex::new(known) }, first))
    }

    /// Who presents this token; `None` if nobody we know, any more or yet.
    ///
    /// Takes the same time whichever token matches: only hashes are compared, each with each.
    pub fn verify(&self, presented: &[u8]) -> Option<Principal> {
        let presented = hash(presented);
        let now = self.clock.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut known);
        let mut found = None;
        for (token, hash) in &known.tokens {
            let same = hash.ct_eq(&presented) & Choice::from(u8::from(token.is_live(now)));
            if bool::from(same) {
                found = Some(Principal { owner: token.owner.clone(), name: token.name.clone() });
            }
        }
        if let Some((principal, hash)) = &self.configured
            && bool::from(hash.ct_eq(&presented))
        {
            found = Some(principal.clone());
        }
        found
    }

    /// Reads the file again if it was replaced. One that cannot be read changes nothing; one that is gone
    /// lets nobody in.
    fn refresh(&self, known: &mut Known) {
        if known.looked.elapsed() < RELOAD_EVERY {
            return;
        }
        known.looked = Instant::now();
        let stamp = self.file.stamp();
        if stamp == known.stamp {
            return;
        }
        known.stamp = stamp;
        match self.file.list() {
            Ok(tokens) => known.tokens = hashed(tokens),
            Err(error) => tracing::error!(%error, "the changed tokens are not used"),
        }
    }
}

/// Whose data it is where nobody says otherwise.
///
/// # Errors
/// None in practice: the name is a good one.
pub fn default_owner() -> Result<Owner, AccessError> {
    "default".parse().map_err(|_| AccessError::BadName("default".into()))
}

fn hashed(tokens: Vec<Token>) -> Vec<(Token, Hash)> {
    tokens.into_iter().filter_map(|token| unhex(&token.hash).map(|hash| (token, hash))).collect()
}

fn hash(text: &[u8]) -> Hash {
    Sha256::digest(text).into()
}

/// 256 random bits of the system, in hex.
fn generate() -> Result<Clear, AccessError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| AccessError::Random(error.to_string()))?;
    Ok(Clear(format!("{TOKEN_PREFIX}{}", hex(&bytes))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Hash> {
    if text.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::WallClock;

    fn open(data: &Path, configured: Option<&str>) -> (Tokens, Option<Clear>) {
        Tokens::open(data, configured, Arc::new(WallClock::default())).unwrap()
    }

    /// The doorkeeper after it has looked at the file again.
    fn looked_again(tokens: &Tokens) -> &Tokens {
        let mut known = tokens.known.lock().unwrap();
        known.looked = known.looked.checked_sub(RELOAD_EVERY).unwrap();
        drop(known);
        tokens
    }

    fn who(owner: &str, name: &str) -> Principal {
        Principal { owner: owner.parse().unwrap(), name: name.into() }
    }

    #[test]
    fn the_first_start_makes_a_token_and_the_second_does_not() {
        let data = tempfile::tempdir().unwrap();
        let (_, first) = open(data.path(), None);
        let first = first.unwrap();
        assert!(first.reveal().starts_with(TOKEN_PREFIX));
        let (tokens, second) = open(data.path(), None);
        assert!(second.is_none());
        assert_eq!(tokens.verify(first.reveal().as_bytes()), Some(who("default", "first")));
    }

    #[test]
    fn the_file_holds_no_token_and_only_its_owner_may_read_it() {
        let data = tempfile::tempdir().unwrap();
        let (_, first) = open(data.path(), None);
        let path = data.path().join("tokens.json");
        assert!(!fs::read_to_string(&path).unwrap().contains(first.unwrap().reveal()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_configured_token_counts_beside_those_of_the_file() {
        let data = tempfile::tempdir().unwrap();
        let (tokens, first) = open(data.path(), Some("s3cret"));
        assert!(first.is_none());
        let made = TokenFile::in_folder(data.path());
        let ci = made.create("ci", "acme".parse().unwrap(), Timestamp(1), None).unwrap();
        assert_eq!(tokens.verify(b"s3cret"), Some(who("default", "configured")));
        assert_eq!(looked_again(&tokens).verify(ci.reveal().as_bytes()), Some(who("acme", "ci")));
        assert_eq!(tokens.verify(b"s3cre"), None);
        assert_eq!(tokens.verify(b""), None);
    }

    #[test]
    fn a_running_server_refuses_a_token_once_it_is_revoked() {
        let data = tempfile::tempdir().unwrap();
        let (tokens, first) = open(data.path(), None);
        let first = first.unwrap();
        TokenFile::in_folder(data.path()).revoke("first", Timestamp(2)).unwrap();
        assert_eq!(looked_again(&tokens).verify(first.reveal().as_bytes()), None);
    }

    #[test]
    fn an_expired_token_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let file = TokenFile::in_folder(data.path());
        let old = file.create("old", "acme".parse().unwrap(), Timestamp(1), Some(Timestamp(2))).unwrap();
        let (tokens, _) = open(data.path(), None);
        assert_eq!(tokens.verify(old.reveal().as_bytes()), None);
    }

    #[test]
    fn a_damaged_file_changes_nothing_and_a_missing_one_lets_nobody_in() {
        let data = tempfile::tempdir().unwrap();
        let (tokens, first) = open(data.path(), None);
        let first = first.unwrap();
        fs::write(data.path().join("tokens.json"), "{").unwrap();
        assert_eq!(looked_again(&tokens).verify(first.reveal().as_bytes()), Some(who("default", "first")));
        fs::remove_file(data.path().join("tokens.json")).unwrap();
        assert_eq!(looked_again(&tokens).verify(first.reveal().as_bytes()), None);
    }

    #[test]
    fn a_name_is_used_once_until_it_is_revoked() {
        let data = tempfile::tempdir().unwrap();
        let file = TokenFile::in_folder(data.path());
        let create = || file.create("ci", "acme".parse().unwrap(), Timestamp(1), None);
        create().unwrap();
        assert_eq!(create().err().unwrap().to_string(), AccessError::NameTaken("ci".into()).to_string());
        file.revoke("ci", Timestamp(2)).unwrap();
        create().unwrap();
        assert!(file.revoke("nobody", Timestamp(3)).is_err());
        assert!(file.create("no name", "acme".parse().unwrap(), Timestamp(1), None).is_err());
    }
}
