//! Keys: tokens that somebody who was let in makes for himself, over an API.
//!
//! They open what their maker's token opens, and no longer. Each has a name made for it, so that owners cannot learn
//! from taken names what others have; what it is called stands beside it.

use std::sync::PoisonError;

use super::file::generate;
use super::{AccessError, Clear, Key, Principal, Role, Token, Tokens};
use crate::domain::id::Owner;
use crate::domain::time::Timestamp;

/// Keys an owner has at most: each request is compared with all of them.
pub const MAX_KEYS: usize = 100;

/// Characters of a key that are shown again, after its prefix.
const SHOWN: usize = 8;

/// A key that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct KeyOrder<'a> {
    /// Never used before.
    pub id: &'a str,
    /// What it is called.
    pub label: &'a str,
    /// What it starts with.
    pub prefix: &'a str,
    /// What it is to open; no more than its maker's token anyway.
    pub role: Role,
    /// Until when it is wanted; no longer than its maker's token anyway.
    pub expires: Option<Timestamp>,
}

impl Tokens {
    /// Makes a key; it is given out here and never again, and counts at once. Blocks: it writes a file.
    ///
    /// # Errors
    /// [`AccessError::TooMany`], or the file cannot be read or written.
    pub fn make_key(&self, maker: &Principal, order: KeyOrder<'_>) -> Result<(Token, Clear), AccessError> {
        let clear = generate(order.prefix)?;
        let expires = [order.expires, maker.expires].into_iter().flatten().min();
        let shown = order.prefix.len() + SHOWN;
        let mut token = Token::of(&clear, order.id, maker.owner.clone(), self.clock.now(), expires);
        token.role = order.role.and(maker.role);
        token.key = Some(Key {
            label: order.label.into(),
            begins_with: clear.reveal().get(..shown).unwrap_or_default().into(),
            made_by: maker.name.clone(),
        });
        self.file.change(|tokens| {
            if tokens.iter().filter(|token| is_key_of(token, &maker.owner)).count() >= MAX_KEYS {
                return Err(AccessError::TooMany(MAX_KEYS));
            }
            tokens.push(token.clone());
            Ok(())
        })?;
        self.look_now();
        tracing::info!(key = order.id, by = maker.name, owner = %maker.owner, "a key was made");
        Ok((token, clear))
    }

    /// The keys of an owner, newest first, those too that have ended. Blocks: it reads a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn keys(&self, owner: &Owner) -> Result<Vec<Token>, AccessError> {
        let tokens = self.file.list()?;
        Ok(tokens.into_iter().rev().filter(|token| is_key_of(token, owner)).collect())
    }

    /// Takes a key of this owner away: it is refused from now on. Blocks: it writes a file.
    ///
    /// # Errors
    /// [`AccessError::NoToken`], or the file cannot be read or written.
    pub fn delete_key(&self, owner: &Owner, id: &str) -> Result<(), AccessError> {
        self.file.change(|tokens| {
            let is_it = |token: &Token| token.name == id && is_key_of(token, owner);
            let at = tokens.iter().position(is_it).ok_or_else(|| AccessError::NoToken(id.into()))?;
            tokens.remove(at);
            Ok(())
        })?;
        self.look_now();
        tracing::info!(key = id, %owner, "a key was deleted");
        Ok(())
    }

    fn look_now(&self) {
        self.look(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One that is revoked is no more than a note that it was there.
fn is_key_of(token: &Token, owner: &Owner) -> bool {
    token.key.is_some() && token.revoked.is_none() && token.owner == *owner
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::WallClock;

    fn maker(owner: &str, expires: Option<Timestamp>) -> Principal {
        Principal { owner: owner.parse().unwrap(), name: "first".into(), role: Role::Admin, expires }
    }

    fn order(id: &str) -> KeyOrder<'_> {
        let expires = Some(Timestamp(u64::MAX));
        KeyOrder { id, label: "Build server", prefix: "evr_", role: Role::Admin, expires }
    }

    #[test]
    fn a_key_opens_what_its_maker_opens_until_it_is_deleted_and_no_longer_than_he_may() {
        let data = tempfile::tempdir().unwrap();
        let (tokens, _) = Tokens::open(data.path(), None, Arc::new(WallClock::default())).unwrap();
        let end = Timestamp(u64::MAX - 1);
        let (acme, other) = (maker("acme", Some(end)), maker("other", None));
        let (token, clear) = tokens.make_key(&acme, order("key_1")).unwrap();
        assert_eq!(token.expires, Some(end));
        let admitted = Principal {
            owner: acme.owner.clone(),
            name: "key_1".into(),
            role: Role::Admin,
            expires: Some(end),
        };
        assert_eq!(tokens.verify(clear.reveal().as_bytes()), Some(admitted));
        assert_eq!(tokens.keys(&acme.owner).unwrap(), [token]);
        assert_eq!(tokens.keys(&other.owner).unwrap(), []);
        assert!(matches!(tokens.delete_key(&other.owner, "key_1"), Err(AccessError::NoToken(_))));
        assert!(matches!(
            tokens.delete_key(&"default".parse().unwrap(), "first"),
            Err(AccessError::NoToken(_))
        ));
        tokens.delete_key(&acme.owner, "key_1").unwrap();
        assert_eq!(tokens.verify(clear.reveal().as_bytes()), None);
    }

    #[test]
    fn a_key_opens_no_more_than_its_maker_may() {
        let data = tempfile::tempdir().unwrap();
        let (tokens, _) = Tokens::open(data.path(), None, Arc::new(WallClock::default())).unwrap();
        let admin = maker("acme", None);
        let narrow = KeyOrder { role: Role::Member, ..order("key_1") };
        assert_eq!(tokens.make_key(&admin, narrow).unwrap().0.role, Role::Member);
        let member = Principal { role: Role::Member, ..admin };
        assert_eq!(tokens.make_key(&member, order("key_2")).unwrap().0.role, Role::Member);
    }

    #[test]
    fn an_owner_has_only_so_many_keys() {
        let data = tempfile::tempdir().unwrap();
        let (tokens, _) = Tokens::open(data.path(), None, Arc::new(WallClock::default())).unwrap();
        let owner = maker("acme", None);
        let (kept, _) = tokens.make_key(&owner, order("key_0")).unwrap();
        let full = |count| {
            tokens.file.change(|all| {
                all.extend((1..count).map(|_| kept.clone()));
                Ok(())
            })
        };
        full(MAX_KEYS).unwrap();
        assert!(matches!(tokens.make_key(&owner, order("key_x")), Err(AccessError::TooMany(MAX_KEYS))));
        tokens.make_key(&maker("other", None), order("key_y")).unwrap();
    }
}
