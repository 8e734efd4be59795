//! Rust source with comments and literals blanked out, and the rules that look at its words.

use std::ops::Range;

/// The files and folders that may hold `unsafe` code: kernels, the memory map, and the rows of hash tables.
const UNSAFE_ALLOWED: &[&str] =
    &["columnar/simd/src/", "columnar/vfs/src/mmap.rs", "exec/run/src/hash/rows.rs"];

/// Whether a file, by its path from the root, may hold `unsafe` code.
pub fn unsafe_allowed(path: &str) -> bool {
    UNSAFE_ALLOWED.iter().any(|allowed| path.starts_with(allowed))
}

/// One Rust file.
#[derive(Debug)]
pub struct Source {
    text: String,
    /// `text` with comments, string and character literals replaced by blanks; same length, same lines.
    code: String,
}

impl Source {
    /// Blanks out what is not code.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_string(), code: blank(text) }
    }

    /// The code alone.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether the file opens with a module comment.
    pub fn has_module_doc(&self) -> bool {
        self.text.starts_with("//!")
    }

    /// Whether the keyword `unsafe` occurs in code.
    pub fn has_unsafe(&self) -> bool {
        words(&self.code).any(|word| &self.code[word] == "unsafe")
    }

    /// Lines, from 1, of calls of `unwrap` and `expect` outside `#[cfg(test)]` items and `#[test]` functions.
    pub fn unwraps(&self) -> Vec<usize> {
        let tests = test_items(&self.code);
        words(&self.code)
            .filter(|word| {
                let after = &self.code[word.end..];
                let before = self.code[..word.start].trim_end();
                let call = match &self.code[word.clone()] {
                    "unwrap" => after.starts_with("()"),
                    "expect" => after.starts_with('('),
                    _ => false,
                };
                call && before.ends_with('.') && !tests.iter().any(|test| test.contains(&word.start))
            })
            .map(|word| 1 + self.code[..word.start].matches('\n').count())
            .collect()
    }
}

/// Every identifier and keyword.
fn words(code: &str) -> impl Iterator<Item = Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |length| start + length);
        at = end;
        Some(start..end)
    })
}

/// The extents of items under `#[cfg(test)]` or `#[test]`, from the attribute to the closing brace or semicolon.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let starts = ["#[cfg(test)]", "#[test]"].iter().flat_map(|attribute| code.match_indices(attribute));
    starts.map(|(start, attribute)| start..item_end(code, start + attribute.len())).collect()
}

/// The end of the item that begins at `from`: the brace that closes its first block, or its semicolon.
pub(crate) fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0usize;
    for (i, c) in code[from..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if c == '}' && depth == 0 {
                    return from + i + 1;
                }
            }
            ';' if depth == 0 => return from + i + 1,
            _ => {}
        }
    }
    code.len()
}

/// `text` with comments and literals turned into blanks, line ends kept.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at {
            out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let find = |pattern: &[u8], from: usize| {
        let hit = rest[from..].windows(pattern.len()).position(|window| window == pattern);
        hit.map_or(bytes.len(), |offset| at + from + offset + pattern.len())
    };
    match rest {
        [b'/', b'/', ..] => find(b"\n", 0),
        [b'/', b'*', ..] => block_comment_end(bytes, at),
        [b'"', ..] => quoted_end(bytes, at, b'"'),
        [b'r', ..] if !after_word(bytes, at) => {
            let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
            match rest.get(1 + hashes) {
                Some(b'"') => find(&[b"\"".as_slice(), &vec![b'#'; hashes]].concat(), 2 + hashes),
                _ => at,
            }
        }
        [b'\'', b'\\', ..] => quoted_end(bytes, at, b'\''),
        [b'\'', ..] => {
            // A character closes after one character; otherwise this is a lifetime.
            let length = rest[1..].iter().skip(1).take_while(|b| **b & 0xC0 == 0x80).count() + 1;
            if rest.get(1 + length) == Some(&b'\'') { at + length + 2 } else { at }
        }
        _ => at,
    }
}

fn after_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() && bytes[at - 1] != b'b' || bytes[at - 1] == b'_')
}

fn quoted_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b if b == quote => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_not_code() {
        let source = Source::new(
            "//! unsafe\nfn f<'a>(x: &'a str) { let s = \"unsafe \\\" .unwrap()\"; let r = r#\"unsafe \"q\"\"#; /* unsafe /* x */ */ }\nlet c = '\"'; // unsafe\n",
        );
        assert!(!source.has_unsafe(), "{}", source.code());
        assert!(source.unwraps().is_empty());
        assert!(source.code().contains("fn f<'a>(x: &'a str)"));
    }

    #[test]
    fn unsafe_is_found() {
        assert!(Source::new("fn f() { unsafe { g() } }").has_unsafe());
        assert!(!Source::new("#![deny(unsafe_code)]").has_unsafe());
        assert!(unsafe_allowed("columnar/simd/src/hash.rs"));
        assert!(!unsafe_allowed("exec/plan/src/lib.rs"));
    }

    #[test]
    fn unwraps_outside_tests_are_found() {
        let source = Source::new(
            "fn f() {\n    a.unwrap();\n    b\n        .expect(\"x\");\n    c.unwrap_or(1);\n}\n#[cfg(test)]\nmod tests {\n    fn g() { a.unwrap(); }\n}\n#[test]\nfn t() { a.unwrap() }\nfn h() { z.unwrap() }\n",
        );
        assert_eq!(source.unwraps(), [2, 4, 13]);
    }

    #[test]
    fn a_file_without_module_comment_is_found() {
        assert!(Source::new("//! About.\n").has_module_doc());
        assert!(!Source::new("// About.\n").has_module_doc());
        assert!(!Source::new("use std::fs;\n").has_module_doc());
    }
}
