//! What the server sends, apart from rows: each function appends one message.
//!
//! Messages of the hot path are written here byte by byte; the others are pgwire's.

use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};
use spg_session::{Notice, ResultColumn, Severity};
use spg_types::{Error, SqlType};

use crate::rows::format_of;
use crate::scram;

/// Whether an error ends the statement or the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fatality {
    Error,
    Fatal,
}

/// Appends one of pgwire's messages; they are too rare for the copy to matter.
fn message(out: &mut Vec<u8>, message: &impl Message) {
    let mut buffer = BytesMut::with_capacity(message.message_length() + 1);
    // Fails for messages above PostgreSQL's own limits only, and writes nothing then.
    if message.encode(&mut buffer).is_ok() {
        out.extend_from_slice(&buffer);
    }
}

pub(crate) fn ask_sasl(out: &mut Vec<u8>) {
    message(out, &Authentication::SASL(vec![scram::MECHANISM.to_owned()]));
}

pub(crate) fn sasl_continue(out: &mut Vec<u8>, data: String) {
    message(out, &Authentication::SASLContinue(data.into()));
}

/// The server's proof, and that the client is in.
pub(crate) fn authenticated(out: &mut Vec<u8>, proof: String) {
    message(out, &Authentication::SASLFinal(proof.into()));
    message(out, &Authentication::Ok);
}

/// Answers a newer minor version or unknown protocol options: 3.0 without them.
pub(crate) fn negotiate(out: &mut Vec<u8>, unknown_options: Vec<String>) {
    message(out, &NegotiateProtocolVersion::new(3 << 16, unknown_options));
}

pub(crate) fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, &ParameterStatus::new(without_nul(name), without_nul(value)));
}

pub(crate) fn backend_key_data(out: &mut Vec<u8>, pid: i32, key: i32) {
    message(out, &BackendKeyData::new(pid, SecretKey::I32(key)));
}

pub(crate) fn error(out: &mut Vec<u8>, fatality: Fatality, error: &Error) {
    let severity = match fatality {
        Fatality::Error => "ERROR",
        Fatality::Fatal => "FATAL",
    };
    message(out, &ErrorResponse::new(fields(severity, error)));
}

pub(crate) fn notice(out: &mut Vec<u8>, notice: &Notice) {
    let severity = match notice.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
        Severity::Info => "INFO",
    };
    message(out, &NoticeResponse::new(fields(severity, &notice.body)));
}

/// PostgreSQL's fields in PostgreSQL's order; those that are not set are left out.
fn fields(severity: &str, e: &Error) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', e.state().code().to_owned()),
        (b'M', without_nul(e.message())),
    ];
    let position = e.position().map(|p| p.to_string());
    let optional = [
        (b'D', e.detail()),
        (b'H', e.hint()),
        (b'P', position.as_deref()),
        (b'W', e.context()),
        (b's', e.schema()),
        (b't', e.table()),
        (b'c', e.column()),
        (b'n', e.constraint()),
    ];
    fields.extend(optional.into_iter().filter_map(|(code, value)| Some((code, without_nul(value?)))));
    fields
}

/// A text that can stand in a message, where NUL ends it.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// A message without a body.
fn bare(out: &mut Vec<u8>, tag: u8) {
    out.extend_from_slice(&[tag, 0, 0, 0, 4]);
}

/// A message whose body `f` writes.
fn framed(out: &mut Vec<u8>, tag: u8, f: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    bare(out, tag);
    f(out);
    let length = (out.len() - start - 1) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

pub(crate) fn parse_complete(out: &mut Vec<u8>) {
    bare(out, b'1');
}

pub(crate) fn bind_complete(out: &mut Vec<u8>) {
    bare(out, b'2');
}

pub(crate) fn close_complete(out: &mut Vec<u8>) {
    bare(out, b'3');
}

pub(crate) fn no_data(out: &mut Vec<u8>) {
    bare(out, b'n');
}

pub(crate) fn empty_query(out: &mut Vec<u8>) {
    bare(out, b'I');
}

pub(crate) fn portal_suspended(out: &mut Vec<u8>) {
    bare(out, b's');
}

pub(crate) fn copy_done(out: &mut Vec<u8>) {
    bare(out, b'c');
}

/// `status`: `I` idle, `T` in a transaction, `E` in a failed one.
pub(crate) fn ready(out: &mut Vec<u8>, status: u8) {
    out.extend_from_slice(&[b'Z', 0, 0, 0, 5, status]);
}

pub(crate) fn command_complete(out: &mut Vec<u8>, tag: &str) {
    framed(out, b'C', |out| {
        out.extend_from_slice(tag.as_bytes());
        out.push(0);
    });
}

pub(crate) fn row_description(out: &mut Vec<u8>, columns: &[ResultColumn], formats: &[i16]) {
    framed(out, b'T', |out| {
        out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
        for (i, column) in columns.iter().enumerate() {
            out.extend(column.name.bytes().filter(|b| *b != 0));
            out.push(0);
            out.extend_from_slice(&column.table_oid.to_be_bytes());
            out.extend_from_slice(&column.column_no.to_be_bytes());
            out.extend_from_slice(&column.ty.def.oid.to_be_bytes());
            out.extend_from_slice(&column.ty.def.len.to_be_bytes());
            out.extend_from_slice(&column.ty.typmod().to_be_bytes());
            out.extend_from_slice(&format_of(formats, i).to_be_bytes());
        }
    });
}

pub(crate) fn parameter_description(out: &mut Vec<u8>, types: &[SqlType]) {
    framed(out, b't', |out| {
        out.extend_from_slice(&(types.len() as u16).to_be_bytes());
        types.iter().for_each(|t| out.extend_from_slice(&t.def.oid.to_be_bytes()));
    });
}

pub(crate) fn copy_in(out: &mut Vec<u8>, columns: usize, binary: bool) {
    copy_response(out, b'G', columns, binary);
}

pub(crate) fn copy_out(out: &mut Vec<u8>, columns: usize, binary: bool) {
    copy_response(out, b'H', columns, binary);
}

fn copy_response(out: &mut Vec<u8>, tag: u8, columns: usize, binary: bool) {
    framed(out, tag, |out| {
        out.push(binary.into());
        out.extend_from_slice(&(columns as u16).to_be_bytes());
        (0..columns).for_each(|_| out.extend_from_slice(&[0, binary.into()]));
    });
}

pub(crate) fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    framed(out, b'd', |out| out.extend_from_slice(data));
}

#[cfg(test)]
mod tests {
    use pgwire::messages::{DecodeContext, PgWireBackendMessage as Backend};
    use spg_types::{SqlState, def};

    use super::*;

    /// Decodes what was written with a decoder that is not ours.
    fn decoded(out: &[u8]) -> Vec<Backend> {
        let mut context = DecodeContext::default();
        context.awaiting_frontend_ssl = false;
        let mut buffer = BytesMut::from(out);
        let mut messages = vec![];
        while let Some(message) = Backend::decode(&mut buffer, &context).unwrap() {
            messages.push(message);
        }
        assert!(buffer.is_empty());
        messages
    }

    #[test]
    fn errors_carry_postgresqls_fields() {
        let e = Error::new(SqlState::UNIQUE_VIOLATION, "duplicate\0 key")
            .with_detail("d")
            .with_hint("h")
            .with_context("w")
            .with_relation("s", "t")
            .with_constraint("n")
            .at(7);
        let mut out = vec![];
        error(&mut out, Fatality::Error, &e);
        let [Backend::ErrorResponse(response)] = &decoded(&out)[..] else { panic!("not one error") };
        let fields: Vec<_> = response.fields.iter().map(|(c, v)| (*c as char, v.as_str())).collect();
        let expected = [
            ('S', "ERROR"),
            ('V', "ERROR"),
            ('C', "23505"),
            ('M', "duplicate key"),
            ('D', "d"),
            ('H', "h"),
            ('P', "7"),
            ('W', "w"),
            ('s', "s"),
            ('t', "t"),
            ('n', "n"),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn descriptions() {
        let column = ResultColumn {
            name: "n".to_owned(),
            ty: SqlType::with_typmod(&def::NUMERIC, (15 << 16 | 2) + 4),
            table_oid: 9,
            column_no: 3,
        };
        let mut out = vec![];
        row_description(&mut out, &[column.clone(), column], &[1]);
        parameter_description(&mut out, &[SqlType::new(&def::INT4)]);
        command_complete(&mut out, "SELECT 1");
        copy_out(&mut out, 2, false);
        ready(&mut out, b'T');
        let messages = decoded(&out);
        let Backend::RowDescription(d) = &messages[0] else { panic!("no RowDescription") };
        let f = &d.fields[1];
        assert_eq!((f.name.as_str(), f.table_id, f.column_id, f.type_id), ("n", 9, 3, 1700));
        assert_eq!((f.type_size, f.type_modifier, f.format_code), (-1, (15 << 16 | 2) + 4, 1));
        assert!(matches!(&messages[1], Backend::ParameterDescription(p) if p.types == [23]));
        assert!(matches!(&messages[2], Backend::CommandComplete(c) if c.tag == "SELECT 1"));
        assert!(matches!(&messages[3], Backend::CopyOutResponse(c) if c.columns == 2 && c.format == 0));
        assert!(matches!(&messages[4], Backend::ReadyForQuery(_)));
    }
}
