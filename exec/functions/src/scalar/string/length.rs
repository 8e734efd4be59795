//! Lengths.

use spg_expr::BindArgs;
use spg_expr::arity::{Bytes, Str, map1, try_map2};
use spg_types::Result;

use crate::record::{functions, sig};
use crate::scalar::bytes::Encoding;

/// Characters, not bytes.
pub(crate) fn chars(s: &str) -> usize {
    if s.is_ascii() { s.len() } else { s.chars().count() }
}

type Kernel = std::sync::Arc<dyn spg_expr::Kernel>;

fn characters(bind: &BindArgs<'_>) -> Result<Kernel> {
    map1::<Str, i32>(bind, |s| chars(s) as i32)
}

/// Bytes of `character(n)`, whose columns leave trailing blanks out, times `bits`.
fn blank_padded(bind: &BindArgs<'_>, bits: i32) -> Result<Kernel> {
    let width = usize::try_from(bind.arg_types[0].typmod() - 4).unwrap_or(0);
    map1::<Str, i32>(bind, move |s| (s.len() + width.saturating_sub(chars(s))) as i32 * bits)
}

functions! {
    FUNCTION LENGTH: "length", "Characters of a text, bytes of a byte string.", "length('jose')" => "4", [
        sig!([TEXT] => INT4, characters),
        sig!([BPCHAR] => INT4, characters),
        sig!([BYTEA] => INT4, |b| map1::<Bytes, i32>(b, |s| s.len() as i32)),
        sig!([BYTEA, NAME] => INT4, |b| try_map2::<Bytes, Str, i32>(b, |s, name| {
            Ok(chars(&Encoding::named(name, "source")?.read(s)?) as i32)
        })),
    ];
    TOTAL CHAR_LENGTH: "char_length", "Characters of a text.", "char_length('josé')" => "4", [
        sig!([TEXT] => INT4, characters),
        sig!([BPCHAR] => INT4, characters),
    ];
    TOTAL CHARACTER_LENGTH: "character_length", "Characters of a text.", "character_length('josé')" => "4", [
        sig!([TEXT] => INT4, characters),
        sig!([BPCHAR] => INT4, characters),
    ];
    TOTAL OCTET_LENGTH: "octet_length", "Bytes of a text or byte string.", "octet_length('josé')" => "5", [
        sig!([TEXT] => INT4, |b| map1::<Str, i32>(b, |s| s.len() as i32)),
        sig!([BPCHAR] => INT4, |b| blank_padded(b, 1)),
        sig!([BYTEA] => INT4, |b| map1::<Bytes, i32>(b, |s| s.len() as i32)),
    ];
    TOTAL BIT_LENGTH: "bit_length", "Bits of a text or byte string.", "bit_length('jose')" => "32", [
        sig!([TEXT] => INT4, |b| map1::<Str, i32>(b, |s| s.len() as i32 * 8)),
        sig!([BYTEA] => INT4, |b| map1::<Bytes, i32>(b, |s| s.len() as i32 * 8)),
    ];
}
