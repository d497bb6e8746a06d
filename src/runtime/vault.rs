//! Secrets, encrypted where they are kept.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Bytes of a nonce.
const NONCE: usize = 12;

/// Seals and opens secrets with AES-256-GCM, each for the place where it is kept: moved elsewhere it does not open.
pub struct Vault(Aes256Gcm);

/// Why a text is no key, or a secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Not 32 bytes.
    #[error("the key must be 32 bytes, as 64 hex digits or in base64 (`openssl rand -base64 32`)")]
    Key,
    /// Sealed with another key, for another place, or altered.
    #[error("a secret cannot be opened: it was sealed with another key, or altered")]
    Sealed,
}

impl Vault {
    /// A vault with this key: 64 hex digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// [`VaultError::Key`].
    pub fn new(key: &str) -> Result<Self, VaultError> {
        let key = key.trim();
        let bytes = hex(key).or_else(|| BASE64.decode(key).ok()).ok_or(VaultError::Key)?;
        Aes256Gcm::new_from_slice(&bytes).map(Self).map_err(|_| VaultError::Key)
    }

    /// A secret as it may be kept at `place`.
    ///
    /// # Errors
    /// [`VaultError::Sealed`] if the system gives no randomness.
    pub fn seal(&self, place: &str, secret: &str) -> Result<String, VaultError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Sealed)?;
        let payload = Payload { msg: secret.as_bytes(), aad: place.as_bytes() };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).map_err(|_| VaultError::Sealed)?;
        Ok(BASE64.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// The secret that was sealed for `place`.
    ///
    /// # Errors
    /// [`VaultError::Sealed`].
    pub fn open(&self, place: &str, sealed: &str) -> Result<String, VaultError> {
        let bytes = BASE64.decode(sealed).map_err(|_| VaultError::Sealed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(VaultError::Sealed)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let secret = self.0.decrypt(&Nonce::from(*nonce), payload).map_err(|_| VaultError::Sealed)?;
        String::from_utf8(secret).map_err(|_| VaultError::Sealed)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_secret_opens_at_its_place_with_its_key_and_nowhere_else() {
        let vault = Vault::new(KEY).unwrap();
        let sealed = vault.seal("here", "s3cret").unwrap();
        assert!(!sealed.contains("s3cret"));
        assert_ne!(vault.seal("here", "s3cret").unwrap(), sealed);
        assert_eq!(vault.open("here", &sealed).unwrap(), "s3cret");
        assert_eq!(vault.open("there", &sealed), Err(VaultError::Sealed));
        let other = Vault::new(&KEY.replace('0', "f")).unwrap();
        assert_eq!(other.open("here", &sealed), Err(VaultError::Sealed));
    }

    #[test]
    fn a_key_has_32_bytes() {
        let same = Vault::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let sealed = Vault::new(KEY).unwrap().seal("here", "s").unwrap();
        assert_eq!(same.open("here", &sealed).unwrap(), "s");
        for bad in ["", "short", "AAEC", &KEY[..62]] {
            assert_eq!(Vault::new(bad).err(), Some(VaultError::Key), "{bad}");
        }
    }
}
