//! The file of tokens: written whole or not at all, by one program at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::id::Owner;
use crate::domain::time::Timestamp;

/// What every token starts with, so that scanners for leaked secrets can know it.
pub const TOKEN_PREFIX: &str = "rh_";
/// Longest name of a token, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// What a token opens of what its owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    #[default]
    Admin,
    /// Everything, but it gives nobody capabilities of a high risk.
    Member,
}

impl Role {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// What both of them open.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Admin, Self::Admin) => Self::Admin,
            (Self::Member, _) | (_, Self::Member) => Self::Member,
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "admin" => Ok(Self::Admin),
            "member" => Ok(Self::Member),
            _ => Err("a role is `admin` or `member`".into()),
        }
    }
}

/// A token as it is kept: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Unique among tokens that are not revoked.
    pub name: String,
    /// Whose data it opens.
    pub owner: Owner,
    /// What it opens of that; of tokens from before there were roles, everything.
    #[serde(default)]
    pub role: Role,
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
    /// What is known of one that was made over an API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

/// What is known of a token that somebody who was let in made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What its maker calls it; any text.
    pub label: String,
    /// Its first characters, to tell keys apart.
    pub begins_with: String,
    /// The name of the token it was made with.
    pub made_by: String,
}

impl Token {
    /// What is kept of a token in clear.
    pub(super) fn of(
        clear: &Clear,
        name: &str,
        owner: Owner,
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Self {
        let end = clear.0.len().saturating_sub(4);
        Self {
            name: name.into(),
            owner,
            role: Role::default(),
            hash: hex(&hash(clear.0.as_bytes())),
            ends_with: clear.0.get(end..).unwrap_or_default().into(),
            created,
            expires,
            revoked: None,
            key: None,
        }
    }

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
    /// An owner has as many keys as he may.
    #[error("there are {0} keys already, as many as there may be; delete one first")]
    TooMany(usize),
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

/// The file of tokens, for whoever changes it. Keys that were deleted over an API leave nothing behind in it.
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

    /// All tokens there are and were, oldest first; none if there is no file.
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
        self.create_as(Role::default(), name, owner, (created, expires))
    }

    /// The same, with a role, made and refused at these times.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn create_as(
        &self,
        role: Role,
        name: &str,
        owner: Owner,
        (created, expires): (Timestamp, Option<Timestamp>),
    ) -> Result<Clear, AccessError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(fits) {
            return Err(AccessError::BadName(name.escape_debug().to_string()));
        }
        let clear = generate(TOKEN_PREFIX)?;
        let token = Token { role, ..Token::of(&clear, name, owner, created, expires) };
        self.change(|tokens| {
            if tokens.iter().any(|token| token.name == name && token.is_live(created)) {
                return Err(AccessError::NameTaken(name.into()));
            }
            tokens.push(token);
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
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<T, AccessError>,
    ) -> Result<T, AccessError> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| self.io(error))?;
        let lock = private(&self.0.with_extension("lock")).map_err(|error| self.io(error))?;
        lock.lock().map_err(|error| self.io(error))?;
        let mut tokens = self.list()?;
        let answer = change(&mut tokens)?;
        self.write(folder, &Listing { tokens }).map_err(|error| self.io(error))?;
        Ok(answer)
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
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let about = fs::metadata(&self.0).ok()?;
        Some(Stamp {
            inode: about.ino(),
            seconds: about.mtime(),
            nanos: about.mtime_nsec(),
            bytes: about.len(),
        })
    }
}

/// Tells one state of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    seconds: i64,
    nanos: i64,
    bytes: u64,
}

/// A file only its owner may read.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// A SHA-256 hash.
pub(super) type Hash = [u8; 32];

/// What is kept of a token.
pub(super) fn hash(text: &[u8]) -> Hash {
    Sha256::digest(text).into()
}

/// 256 random bits of the system, in hex, after a prefix.
pub(super) fn generate(prefix: &str) -> Result<Clear, AccessError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| AccessError::Random(error.to_string()))?;
    Ok(Clear(format!("{prefix}{}", hex(&bytes))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`]; `None` for anything but a hash.
pub(super) fn unhex(text: &str) -> Option<Hash> {
    if text.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}
