//! Upper and lower case.

use spg_expr::arity::{Str, write1};

use crate::record::{functions, sig};

fn lower(s: &str, out: &mut String) {
    if s.is_ascii() {
        out.push_str(s);
        out.make_ascii_lowercase();
    } else {
        out.extend(s.chars().flat_map(char::to_lowercase));
    }
}

fn upper(s: &str, out: &mut String) {
    if s.is_ascii() {
        out.push_str(s);
        out.make_ascii_uppercase();
    } else {
        // Character by character, so that ß stays one.
        for c in s.chars() {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(u), None) => out.push(u),
                _ => out.push(c),
            }
        }
    }
}

fn initcap(s: &str, out: &mut String) {
    let mut within = false;
    for c in s.chars() {
        if within {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        within = c.is_alphanumeric();
    }
}

functions! {
    TOTAL LOWER: "lower", "The text in lower case.", "lower('TOM')" => "tom", [
        sig!([TEXT] => TEXT, |b| write1::<Str>(b, |_, s, out| {
            lower(s, out);
            Ok(())
        })),
    ];
    TOTAL UPPER: "upper", "The text in upper case.", "upper('tom')" => "TOM", [
        sig!([TEXT] => TEXT, |b| write1::<Str>(b, |_, s, out| {
            upper(s, out);
            Ok(())
        })),
    ];
    TOTAL INITCAP: "initcap", "The text with the first letter of every word in upper case and the others in lower case.", "initcap('hi THOMAS')" => "Hi Thomas", [
        sig!([TEXT] => TEXT, |b| write1::<Str>(b, |_, s, out| {
            initcap(s, out);
            Ok(())
        })),
    ];
}
