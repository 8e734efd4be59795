//! The first packet of a connection: start-up, encryption requests, cancel requests.
//!
//! Start-up packets have no type byte. Source: PostgreSQL 15, chapter 55.2.1 and 55.7.

use spg_types::{Error, Result, SqlState};

use crate::message::Fields;

/// All that a connection may send before it is authenticated.
pub(crate) const UNAUTHENTICATED_BYTES_MAX: usize = 64 * 1024;
/// The longest first packet, as in PostgreSQL.
const PACKET_MAX: usize = 10_000;

const CANCEL: u32 = 1234 << 16 | 5678;
const SSL: u32 = 1234 << 16 | 5679;
const GSSENC: u32 = 1234 << 16 | 5680;

/// A connection's first packet.
#[derive(Debug, PartialEq)]
pub(crate) enum Packet {
    /// SSLRequest or GSSENCRequest: answered with one byte, then another first packet follows.
    Encryption,
    /// CancelRequest, on a connection of its own.
    Cancel { pid: i32, key: i32 },
    /// The start of a session.
    Startup(Startup),
}

/// What a client asks of its session.
#[derive(Debug, PartialEq)]
pub(crate) struct Startup {
    /// The minor version of protocol 3 asked for.
    pub(crate) minor: u16,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) application_name: Option<String>,
    /// Every other parameter, `options` taken apart, in the order given.
    pub(crate) settings: Vec<(String, String)>,
    /// Protocol options (`_pq_.*`) that this server does not know: all of them.
    pub(crate) unknown_options: Vec<String>,
}

/// The length of a first packet by its length word; 08P01 when it can't be one.
pub(crate) fn packet_length(length: [u8; 4]) -> Result<usize> {
    let length = u32::from_be_bytes(length) as usize;
    if (8..=PACKET_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(invalid("invalid length of startup packet"))
    }
}

/// Decodes a first packet without its length word. Every error ends the connection.
pub(crate) fn decode(body: &[u8]) -> Result<Packet> {
    let mut r = Fields::new(body);
    match r.u32()? {
        CANCEL => {
            let (pid, key) = (r.u32()? as i32, r.u32()? as i32);
            r.end()?;
            Ok(Packet::Cancel { pid, key })
        }
        SSL | GSSENC => {
            r.end()?;
            Ok(Packet::Encryption)
        }
        version if version >> 16 == 3 => startup(version as u16, &mut r).map(Packet::Startup),
        version => Err(Error::unsupported(format!(
            "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0",
            version >> 16,
            version & 0xffff
        ))),
    }
}

fn startup(minor: u16, r: &mut Fields<'_>) -> Result<Startup> {
    let mut user = String::new();
    let mut s = Startup {
        minor,
        user: String::new(),
        database: String::new(),
        application_name: None,
        settings: Vec::new(),
        unknown_options: Vec::new(),
    };
    loop {
        let name = r.text().map_err(|_| layout())?;
        if name.is_empty() {
            break;
        }
        let value = r.text().map_err(|_| layout())?;
        match name {
            "user" => user = value.to_owned(),
            "database" => s.database = value.to_owned(),
            "application_name" => s.application_name = Some(value.to_owned()),
            "options" => options(value, &mut s.settings)?,
            "replication" if matches!(value, "false" | "off" | "no" | "0") => {}
            "replication" => return Err(Error::unsupported("replication connections are not supported")),
            _ if name.starts_with("_pq_.") => s.unknown_options.push(name.to_owned()),
            _ => s.settings.push((name.to_owned(), value.to_owned())),
        }
    }
    r.end().map_err(|_| layout())?;
    if user.is_empty() {
        return Err(Error::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if s.database.is_empty() {
        s.database.clone_from(&user);
    }
    s.user = user;
    Ok(s)
}

/// Takes apart `options`: `-c name=value` and `--name=value`, words split at spaces, backslash escapes.
fn options(text: &str, settings: &mut Vec<(String, String)>) -> Result<()> {
    let mut words = split_words(text).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            Some("") => words.next().unwrap_or_default(),
            Some(rest) => rest.to_owned(),
            None => {
                return Err(invalid(format!("invalid command-line argument for server process: {word}")));
            }
        };
        match setting.split_once('=') {
            // As in PostgreSQL, a dash may stand for an underscore.
            Some((name, value)) => settings.push((name.replace('-', "_"), value.to_owned())),
            None => return Err(Error::new(SqlState::SYNTAX_ERROR, format!("-c {setting} requires a value"))),
        }
    }
    Ok(())
}

fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

fn layout() -> Error {
    invalid("invalid startup packet layout: expected terminator as last byte")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(version: u32, rest: &[u8]) -> Vec<u8> {
        [&version.to_be_bytes(), rest].concat()
    }

    #[test]
    fn startup_parameters() {
        let p = decode(&packet(
            3 << 16 | 2,
            b"user\0ann\0application_name\0x\0_pq_.new\x001\0options\0-c geqo=off --work-mem=1\\ MB\0DateStyle\0ISO\0\0",
        ));
        let Packet::Startup(s) = p.unwrap() else { panic!("not a start-up") };
        assert_eq!((s.user.as_str(), s.database.as_str(), s.minor), ("ann", "ann", 2));
        assert_eq!(s.application_name.as_deref(), Some("x"));
        let settings: Vec<_> = s.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(settings, [("geqo", "off"), ("work_mem", "1 MB"), ("DateStyle", "ISO")]);
        assert_eq!(s.unknown_options, ["_pq_.new"]);
    }

    #[test]
    fn startup_errors() {
        let state = |body: &[u8]| decode(body).unwrap_err().state();
        assert_eq!(state(&packet(2 << 16, b"")), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(state(&packet(3 << 16, b"\0")), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        assert_eq!(state(&packet(3 << 16, b"user\0a\0")), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(state(&packet(3 << 16, b"user\0a\0\0x")), SqlState::PROTOCOL_VIOLATION);
        assert!(packet_length([0, 0, 0, 7]).is_err());
        assert!(packet_length([0, 1, 0, 0]).is_err());
    }

    #[test]
    fn requests() {
        assert_eq!(decode(&packet(SSL, b"")).unwrap(), Packet::Encryption);
        assert_eq!(decode(&packet(GSSENC, b"")).unwrap(), Packet::Encryption);
        let cancel = decode(&packet(CANCEL, &[0, 0, 0, 7, 0, 0, 0, 9])).unwrap();
        assert_eq!(cancel, Packet::Cancel { pid: 7, key: 9 });
    }

    proptest! {
        #[test]
        fn any_packet_decodes_or_fails(version in prop_oneof![Just(3u32 << 16), any::<u32>()], rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&packet(version, &rest));
        }
    }
}
