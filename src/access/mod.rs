//! Floor 4, who may come in: bearer tokens, kept as hashes in one file of the data folder.
//!
//! The file is written by the server's first start and by `runhold token`, and watched by a running server, so
//! that a token made or revoked beside it counts within a second.

mod file;
mod keys;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use subtle::{Choice, ConstantTimeEq};

use crate::clock::Clock;
use crate::domain::id::Owner;
use crate::domain::time::Timestamp;
pub use file::{AccessError, Clear, Key, Role, TOKEN_PREFIX, Token, TokenFile};
use file::{Hash, Stamp, hash, unhex};
pub use keys::{KeyOrder, MAX_KEYS};

/// How often a running server looks whether the file changed.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// Somebody whose token is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it is.
    pub owner: Owner,
    /// The token's name.
    pub name: String,
    /// What it opens of that.
    pub role: Role,
    /// From when on the token is refused.
    pub expires: Option<Timestamp>,
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
                let (name, role) = ("configured".into(), Role::Admin);
                let principal = Principal { owner: owner.clone(), name, role, expires: None };
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
                let (owner, name) = (token.owner.clone(), token.name.clone());
                found = Some(Principal { owner, name, role: token.role, expires: token.expires });
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
        self.look(known);
    }

    /// The same, without waiting.
    fn look(&self, known: &mut Known) {
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::fs;
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
        Principal { owner: owner.parse().unwrap(), name: name.into(), role: Role::Admin, expires: None }
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
    fn a_token_has_the_role_it_was_made_with_and_one_from_before_there_were_roles_is_an_admins() {
        let data = tempfile::tempdir().unwrap();
        let file = TokenFile::in_folder(data.path());
        let times = (Timestamp(1), None);
        let member = file.create_as(Role::Member, "ci", "acme".parse().unwrap(), times).unwrap();
        let old = file.create("old", "acme".parse().unwrap(), Timestamp(1), None).unwrap();
        let path = data.path().join("tokens.json");
        let without = fs::read_to_string(&path).unwrap().replace("\"role\": \"admin\",", "");
        fs::write(&path, without).unwrap();
        let (tokens, _) = open(data.path(), None);
        let role = |clear: &Clear| tokens.verify(clear.reveal().as_bytes()).map(|found| found.role);
        assert_eq!((role(&member), role(&old)), (Some(Role::Member), Some(Role::Admin)));
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
