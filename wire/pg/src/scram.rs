//! SCRAM-SHA-256 as a server runs it (RFC 5802, RFC 7677; PostgreSQL 15, chapter 55.3).
//!
//! A user who does not exist is asked for a proof like any other, against a verifier derived from a secret of the
//! server, so that neither the answers nor their order tell which names exist.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use spg_types::{Error, Result, SqlState};

/// The only mechanism offered.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// The longest message of a client, as in PostgreSQL.
pub(crate) const MESSAGE_MAX: usize = 1024;
const MOCK_ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;

type Sha = [u8; 32];

fn hmac(key: &[u8], parts: &[&[u8]]) -> Sha {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|p| mac.update(p));
    mac.finalize().into_bytes().into()
}

/// Compares without a branch on the content.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b))) == 0
}

/// What the server keeps of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
pub(crate) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Sha,
    server_key: Sha,
    /// Whether there is such a user at all; a proof against a mock never holds.
    real: bool,
}

impl Verifier {
    /// Reads a stored verifier; `None` when it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MECHANISM)?.strip_prefix('$')?;
        let (iterations_salt, keys) = rest.split_once('$')?;
        let (iterations, salt) = iterations_salt.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text).ok()?.try_into().ok();
        Some(Self {
            iterations: iterations.parse().ok().filter(|n| *n > 0)?,
            salt: BASE64.decode(salt).ok()?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
            real: true,
        })
    }

    /// The verifier of a user who does not exist: always the same for one name and secret.
    pub(crate) fn mock(user: &str, secret: &[u8]) -> Self {
        let derive = |label: &[u8]| hmac(secret, &[label, user.as_bytes()]);
        Self {
            iterations: MOCK_ITERATIONS,
            salt: derive(b"salt")[..SALT_BYTES].to_vec(),
            stored_key: derive(b"stored"),
            server_key: derive(b"server"),
            real: false,
        }
    }
}

/// One exchange, after the client's first message.
pub(crate) struct Exchange {
    verifier: Verifier,
    /// `n,,` or `y,,`: repeated by the client's last message.
    gs2_header: String,
    nonce: String,
    client_first_bare: String,
    server_first: String,
}

impl Exchange {
    /// Takes the client's first message; the second value is the server's answer.
    pub(crate) fn start(verifier: Verifier, client_first: &[u8]) -> Result<(Self, String)> {
        Self::start_with(verifier, client_first, &BASE64.encode(rand::random::<[u8; NONCE_BYTES]>()))
    }

    fn start_with(verifier: Verifier, client_first: &[u8], server_nonce: &str) -> Result<(Self, String)> {
        let text = std::str::from_utf8(client_first).map_err(|_| malformed("not UTF-8"))?;
        let mut parts = text.splitn(3, ',');
        let (binding, authzid, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(binding), Some(authzid), Some(bare)) => (binding, authzid, bare),
            _ => return Err(malformed("the first message is incomplete")),
        };
        match binding {
            // "y" from a client that could bind, to a server that offers no binding: no downgrade took place.
            "n" | "y" => {}
            _ => return Err(malformed("the message includes channel binding data, which was not offered")),
        }
        if !authzid.is_empty() {
            return Err(Error::unsupported("client uses authorization identity, but it is not supported"));
        }
        let mut attributes = bare.split(',');
        match attributes.next().and_then(|a| a.split_once('=')) {
            // The name is ignored: the start-up packet has it.
            Some(("n", _)) => {}
            Some(("m", _)) => {
                return Err(Error::unsupported("client requires an unsupported SCRAM extension"));
            }
            _ => return Err(malformed("the user name is missing")),
        }
        let client_nonce = match attributes.next().and_then(|a| a.strip_prefix("r=")) {
            Some(nonce) if !nonce.is_empty() && nonce.bytes().all(|b| (0x21..=0x7e).contains(&b)) => nonce,
            _ => return Err(malformed("the nonce is missing or not printable")),
        };
        let nonce = format!("{client_nonce}{server_nonce}");
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        let exchange = Self {
            verifier,
            gs2_header: format!("{binding},,"),
            nonce,
            client_first_bare: bare.to_owned(),
            server_first: server_first.clone(),
        };
        Ok((exchange, server_first))
    }

    /// Takes the client's last message: `None` when the proof is wrong, else the server's own proof.
    pub(crate) fn finish(self, client_final: &[u8]) -> Result<Option<String>> {
        let text = std::str::from_utf8(client_final).map_err(|_| malformed("not UTF-8"))?;
        let (without_proof, proof) =
            text.rsplit_once(",p=").ok_or_else(|| malformed("the proof is missing"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c="));
        if binding != Some(BASE64.encode(&self.gs2_header).as_str()) {
            return Err(malformed("unexpected SCRAM channel-binding attribute in client-final-message"));
        }
        if attributes.next().and_then(|a| a.strip_prefix("r=")) != Some(self.nonce.as_str()) {
            return Err(malformed("nonce does not match"));
        }
        let proof: Sha = (BASE64.decode(proof).ok().and_then(|p| p.try_into().ok()))
            .ok_or_else(|| malformed("malformed proof in client-final-message"))?;

        let v = &self.verifier;
        let comma: &[u8] = b",";
        let auth_message: [&[u8]; 5] = [
            self.client_first_bare.as_bytes(),
            comma,
            self.server_first.as_bytes(),
            comma,
            without_proof.as_bytes(),
        ];
        let mut client_key = hmac(&v.stored_key, &auth_message);
        client_key.iter_mut().zip(proof).for_each(|(k, p)| *k ^= p);
        let holds = equal(&Sha256::digest(client_key), &v.stored_key);
        let server_proof = hmac(&v.server_key, &auth_message);
        Ok((holds && v.real).then(|| format!("v={}", BASE64.encode(server_proof))))
    }
}

fn malformed(detail: &str) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message").with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: user "user", password "pencil".
    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    /// What ALTER USER would store: the keys of "pencil" under the RFC's salt.
    fn verifier() -> Verifier {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mut u = hmac(b"pencil", &[&salt, &1u32.to_be_bytes()]);
        let mut salted = u;
        for _ in 1..4096 {
            u = hmac(b"pencil", &[&u]);
            salted.iter_mut().zip(u).for_each(|(s, u)| *s ^= u);
        }
        let stored = Sha256::digest(hmac(&salted, &[b"Client Key"]));
        let server = hmac(&salted, &[b"Server Key"]);
        let text = format!(
            "SCRAM-SHA-256$4096:{}${}:{}",
            BASE64.encode(salt),
            BASE64.encode(stored),
            BASE64.encode(server)
        );
        Verifier::parse(&text).unwrap()
    }

    #[test]
    fn the_rfc_example() {
        let (exchange, answer) = Exchange::start_with(verifier(), FIRST, SERVER_NONCE).unwrap();
        assert_eq!(answer, SERVER_FIRST);
        assert_eq!(exchange.finish(FINAL).unwrap().as_deref(), Some(SERVER_FINAL));
    }

    #[test]
    fn wrong_proof_and_unknown_user_look_alike() {
        let wrong = [&FINAL[..FINAL.len() - 4], b"AAA="].concat();
        let (exchange, _) = Exchange::start_with(verifier(), FIRST, SERVER_NONCE).unwrap();
        assert_eq!(exchange.finish(&wrong).unwrap(), None);
        let mock = || Verifier::mock("nobody", b"secret");
        let (exchange, first) = Exchange::start_with(mock(), FIRST, SERVER_NONCE).unwrap();
        let (_, again) = Exchange::start_with(mock(), FIRST, SERVER_NONCE).unwrap();
        assert_eq!(first, again);
        assert_eq!(first.len(), SERVER_FIRST.len());
        assert_eq!(exchange.finish(FINAL).unwrap(), None);
    }

    #[test]
    fn malformed_messages_are_refused() {
        for first in [
            &b""[..],
            b"n",
            b"n,",
            b"p=tls-unique,,n=u,r=x",
            b"n,a=x,n=u,r=x",
            b"n,,m=1,n=u,r=x",
            b"n,,n=u,r=",
            b"n,,r=x",
            b"\xff,,n=,r=x",
        ] {
            assert!(Exchange::start(verifier(), first).is_err(), "{first:?}");
        }
        for last in [&b""[..], b"c=biws,r=x,p=", b"c=eSws,r=x,p=AAAA", b"p=x", b"\xff"] {
            let (exchange, _) = Exchange::start_with(verifier(), FIRST, SERVER_NONCE).unwrap();
            assert!(exchange.finish(last).is_err(), "{last:?}");
        }
    }

    #[test]
    fn verifiers_that_are_none() {
        for text in ["", "md5abc", "SCRAM-SHA-256$0:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA"] {
            assert!(Verifier::parse(text).is_none(), "{text}");
        }
    }
}
