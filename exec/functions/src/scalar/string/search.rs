//! Searching.

use memchr::memmem;
use spg_expr::BindArgs;
use spg_expr::arity::{Bytes, Str, map2};
use spg_types::Result;

use super::length::chars;
use crate::record::{functions, sig};

type Kernel = std::sync::Arc<dyn spg_expr::Kernel>;

/// The 1-based position in characters; 0 for none.
fn position(bind: &BindArgs<'_>) -> Result<Kernel> {
    map2::<Str, Str, i32>(bind, |s, wanted| {
        memmem::find(s.as_bytes(), wanted.as_bytes()).map_or(0, |at| chars(&s[..at]) as i32 + 1)
    })
}

fn byte_position(bind: &BindArgs<'_>) -> Result<Kernel> {
    map2::<Bytes, Bytes, i32>(bind, |s, wanted| memmem::find(s, wanted).map_or(0, |at| at as i32 + 1))
}

functions! {
    TOTAL POSITION: "position", "Where a text first stands in another, from 1; 0 for nowhere.", "position('om' in 'Thomas')" => "3", [
        sig!([TEXT, TEXT] => INT4, position),
        sig!([BYTEA, BYTEA] => INT4, byte_position),
    ];
    TOTAL STRPOS: "strpos", "Where the second text first stands in the first, from 1; 0 for nowhere.", "strpos('high', 'ig')" => "2", [
        sig!([TEXT, TEXT] => INT4, position),
    ];
    TOTAL STARTS_WITH: "starts_with", "Whether the first text starts with the second.", "starts_with('alphabet', 'alph')" => "t", [
        sig!([TEXT, TEXT] => BOOL, |b| map2::<Str, Str, bool>(b, |s, start| s.starts_with(start))),
    ];
}
