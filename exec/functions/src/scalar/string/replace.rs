//! Replacing texts and characters.

use spg_expr::arity::{Str, write3};

use crate::record::{functions, sig};

fn replace(s: &str, from: &str, to: &str, out: &mut String) {
    if from.is_empty() {
        out.push_str(s);
        return;
    }
    let mut parts = s.split(from);
    out.extend(parts.next());
    for part in parts {
        out.push_str(to);
        out.push_str(part);
    }
}

fn translate(s: &str, from: &str, to: &str, out: &mut String) {
    for c in s.chars() {
        match from.chars().position(|f| f == c) {
            None => out.push(c),
            Some(at) => out.extend(to.chars().nth(at)),
        }
    }
}

functions! {
    TOTAL REPLACE: "replace", "The text with every occurrence of one text replaced by another.", "replace('abcdefabcdef', 'cd', 'XX')" => "abXXefabXXef", [
        sig!([TEXT, TEXT, TEXT] => TEXT, |b| write3::<Str, Str, Str>(b, |_, s, from, to, out| {
            replace(s, from, to, out);
            Ok(())
        })),
    ];
    TOTAL TRANSLATE: "translate", "The text with characters replaced by those at the same place of another list, or dropped.", "translate('12345', '143', 'ax')" => "a2x5", [
        sig!([TEXT, TEXT, TEXT] => TEXT, |b| write3::<Str, Str, Str>(b, |_, s, from, to, out| {
            translate(s, from, to, out);
            Ok(())
        })),
    ];
}
