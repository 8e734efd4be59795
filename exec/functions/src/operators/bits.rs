//! `&`, `|`, `#`, `<<`, `>>` on integers. (`~` shares its symbol with pattern matching.)

use spg_expr::Function;
use spg_expr::arity::lanes2;

use crate::record::{TOTAL, sig};

macro_rules! bitwise {
    ($f:expr) => {
        &[
            sig!([INT4, INT4] => INT4, |b| lanes2::<i32, i32, i32>(b, $f)),
            sig!([INT8, INT8] => INT8, |b| lanes2::<i64, i64, i64>(b, $f)),
            sig!([INT2, INT2] => INT2, |b| lanes2::<i16, i16, i16>(b, $f)),
        ]
    };
}

/// `&`
pub(super) static AND: Function = Function {
    name: "&",
    doc: "Bits that both have.",
    example: ("91 & 15", "11"),
    signatures: bitwise!(|x, y| x & y),
    ..TOTAL
};

/// `|`
pub(super) static OR: Function = Function {
    name: "|",
    doc: "Bits that either has.",
    example: ("32 | 3", "35"),
    signatures: bitwise!(|x, y| x | y),
    ..TOTAL
};

/// `#`
pub(super) static XOR: Function = Function {
    name: "#",
    doc: "Bits that exactly one has.",
    example: ("17 # 5", "20"),
    signatures: bitwise!(|x, y| x ^ y),
    ..TOTAL
};

/// `<<`
pub(super) static LEFT: Function = Function {
    name: "<<",
    doc: "Bits moved to higher places.",
    example: ("1 << 4", "16"),
    signatures: &[
        sig!([INT4, INT4] => INT4, |b| lanes2::<i32, i32, i32>(b, |x, n| x.wrapping_shl(n as u32))),
        sig!([INT8, INT4] => INT8, |b| lanes2::<i64, i32, i64>(b, |x, n| x.wrapping_shl(n as u32))),
        // As in C, a 16-bit number is shifted as one of 32 bits and cut afterwards.
        sig!([INT2, INT4] => INT2, |b| lanes2::<i16, i32, i16>(b, |x, n| i32::from(x).wrapping_shl(n as u32) as i16)),
    ],
    ..TOTAL
};

/// `>>`
pub(super) static RIGHT: Function = Function {
    name: ">>",
    doc: "Bits moved to lower places, the sign kept.",
    example: ("8 >> 2", "2"),
    signatures: &[
        sig!([INT4, INT4] => INT4, |b| lanes2::<i32, i32, i32>(b, |x, n| x.wrapping_shr(n as u32))),
        sig!([INT8, INT4] => INT8, |b| lanes2::<i64, i32, i64>(b, |x, n| x.wrapping_shr(n as u32))),
        sig!([INT2, INT4] => INT2, |b| lanes2::<i16, i32, i16>(b, |x, n| i32::from(x).wrapping_shr(n as u32) as i16)),
    ],
    ..TOTAL
};
