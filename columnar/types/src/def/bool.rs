//! `boolean`: true or false.

use arrow::array::{Array, AsArray};

use super::{invalid_binary, invalid_text, no_typmod, no_typmod_out, wrong_builder};
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef, ValueWriter};

/// `boolean`.
pub static BOOL: TypeDef = TypeDef {
    oid: 16,
    array_oid: 1000,
    name: "bool",
    sql_name: "boolean",
    aliases: &[],
    category: Category::Boolean,
    preferred: true,
    len: 1,
    repr: |_| Repr::Bool,
    typmod_in: |_| no_typmod("bool"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "True or false.",
};

/// The truth value a text spells: any unique prefix of true, false, yes, no, on, off, or 1 and 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let t = text.trim_matches(crate::number::is_space_char);
    let is_prefix_of = |word: &str, at_least: usize| {
        t.len() >= at_least
            && t.len() <= word.len()
            && word.as_bytes()[..t.len()].eq_ignore_ascii_case(t.as_bytes())
    };
    if t == "1" || is_prefix_of("true", 1) || is_prefix_of("yes", 1) || is_prefix_of("on", 2) {
        Some(true)
    } else if t == "0" || is_prefix_of("false", 1) || is_prefix_of("no", 1) || is_prefix_of("off", 2) {
        Some(false)
    } else {
        None
    }
}

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Bool(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(parse_bool(text).ok_or_else(|| invalid_text(text, ty))?);
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_boolean();
    Box::new(move |row, out| out.push(if a.value(row) { b't' } else { b'f' }))
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Bool(b) = out else { return Err(wrong_builder(ty)) };
    let [byte] = bytes else { return Err(invalid_binary(ty)) };
    b.append_value(*byte != 0);
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_boolean();
    Box::new(move |row, out| out.push(a.value(row).into()))
}
