//! Trimming.

use spg_expr::BindArgs;
use spg_expr::arity::{Bytes, map2, part};
use spg_types::Result;

use crate::record::{functions, sig};

type Kernel = std::sync::Arc<dyn spg_expr::Kernel>;

fn both(_: &BindArgs<'_>) -> Result<Kernel> {
    part(|s, args, row| {
        let set = args.text(1, row);
        Ok(Some(s.trim_matches(|c| set.contains(c))))
    })
}

fn start(_: &BindArgs<'_>) -> Result<Kernel> {
    part(|s, args, row| {
        let set = args.text(1, row);
        Ok(Some(s.trim_start_matches(|c| set.contains(c))))
    })
}

fn end(_: &BindArgs<'_>) -> Result<Kernel> {
    part(|s, args, row| {
        let set = args.text(1, row);
        Ok(Some(s.trim_end_matches(|c| set.contains(c))))
    })
}

fn bytes<'a>(mut s: &'a [u8], set: &[u8], start: bool, end: bool) -> &'a [u8] {
    while start
        && let [first, rest @ ..] = s
        && set.contains(first)
    {
        s = rest;
    }
    while end
        && let [rest @ .., last] = s
        && set.contains(last)
    {
        s = rest;
    }
    s
}

functions! {
    TOTAL BTRIM: "btrim", "The text without blanks, or without any of the characters, at its start and end.", "btrim('xyxtrimyyx', 'xyz')" => "trim", [
        sig!([TEXT, TEXT] => TEXT, both),
        sig!([TEXT] => TEXT, |_| part(|s, _, _| Ok(Some(s.trim_matches(' '))))),
        sig!([BYTEA, BYTEA] => BYTEA, |b| map2::<Bytes, Bytes, Bytes>(b, |s, set| bytes(s, set, true, true).to_vec())),
    ];
    TOTAL LTRIM: "ltrim", "The text without blanks, or without any of the characters, at its start.", "ltrim('zzzytest', 'xyz')" => "test", [
        sig!([TEXT, TEXT] => TEXT, start),
        sig!([TEXT] => TEXT, |_| part(|s, _, _| Ok(Some(s.trim_start_matches(' '))))),
        sig!([BYTEA, BYTEA] => BYTEA, |b| map2::<Bytes, Bytes, Bytes>(b, |s, set| bytes(s, set, true, false).to_vec())),
    ];
    TOTAL RTRIM: "rtrim", "The text without blanks, or without any of the characters, at its end.", "rtrim('testxxzx', 'xyz')" => "test", [
        sig!([TEXT, TEXT] => TEXT, end),
        sig!([TEXT] => TEXT, |_| part(|s, _, _| Ok(Some(s.trim_end_matches(' '))))),
        sig!([BYTEA, BYTEA] => BYTEA, |b| map2::<Bytes, Bytes, Bytes>(b, |s, set| bytes(s, set, false, true).to_vec())),
    ];
}
