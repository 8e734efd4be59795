//! Password verifiers: SCRAM-SHA-256 as RFC 5802 and RFC 7677 define it, in the form that PostgreSQL stores.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use spg_types::{Error, Result};

/// Rounds of PBKDF2 in new verifiers.
const ITERATIONS: u32 = 4096;

/// What the wire needs to authenticate a user.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, base64 inside.
    pub scram_verifier: String,
    /// Whether the login is accepted from loopback addresses only (the admin's default password).
    pub loopback_only: bool,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("loopback_only", &self.loopback_only).finish_non_exhaustive()
    }
}

/// A new verifier for a password, with a random salt.
pub(crate) fn scram_verifier(password: &str) -> Result<String> {
    let salt: [u8; 16] = rand::random();
    scram_verifier_with(password, &salt, ITERATIONS)
}

fn scram_verifier_with(password: &str, salt: &[u8], iterations: u32) -> Result<String> {
    let mut salted = [0u8; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    let stored = Sha256::digest(hmac(&salted, b"Client Key")?);
    let server = hmac(&salted, b"Server Key")?;
    Ok(format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    ))
}

/// Whether a stored verifier was made from a password.
pub(crate) fn is_of_password(verifier: &str, password: &str) -> bool {
    let parts = || {
        let (iterations, salt) =
            verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?.0.split_once(':')?;
        Some((iterations.parse::<u32>().ok()?, STANDARD.decode(salt).ok()?))
    };
    let Some((iterations, salt)) = parts() else { return false };
    scram_verifier_with(password, &salt, iterations).is_ok_and(|made| made == verifier)
}

fn hmac(key: &[u8], message: &[u8]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| Error::internal(e.to_string()))?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().into())
}

/// Whether a PASSWORD option already is a verifier, to be stored as it is.
pub(crate) fn is_verifier(password: &str) -> bool {
    let parts: Vec<&str> = password.split('$').collect();
    parts.len() == 3
        && parts[0] == "SCRAM-SHA-256"
        && parts[1]
            .split_once(':')
            .is_some_and(|(i, s)| i.parse::<u32>().is_ok() && STANDARD.decode(s).is_ok())
        && parts[2]
            .split_once(':')
            .is_some_and(|(a, b)| STANDARD.decode(a).is_ok() && STANDARD.decode(b).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifier_matches_rfc_7677() {
        // The RFC's example: user "user", password "pencil".
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let v = scram_verifier_with("pencil", &salt, 4096).unwrap();
        assert_eq!(
            v,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        assert!(is_verifier(&v));
        assert!(!is_verifier("pencil"));
        assert!(is_of_password(&v, "pencil") && !is_of_password(&v, "pen") && !is_of_password("", "pencil"));
    }
}
