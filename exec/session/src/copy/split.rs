//! Cuts incoming COPY data where records end, so that pieces can be parsed apart from each other.

use memchr::{memchr, memchr_iter, memrchr};

use super::CopyFormat;

/// Finds record ends in a stream; remembers whether the stream is inside quotes.
pub(super) struct RecordSplitter {
    quote: Option<(u8, u8)>,
    in_quotes: bool,
    /// The previous byte was an escape that applies to the next one.
    escaped: bool,
}

impl RecordSplitter {
    pub(super) fn new(format: &CopyFormat) -> Self {
        Self { quote: format.csv.then_some((format.quote, format.escape)), in_quotes: false, escaped: false }
    }

    /// Looks at the next piece of the stream; returns the length up to and including its last record end, if it has one.
    pub(super) fn last_end(&mut self, piece: &[u8]) -> Option<usize> {
        match self.quote {
            None => self.last_end_text(piece),
            Some((quote, _)) if !self.in_quotes && memchr(quote, piece).is_none() => {
                self.escaped = false;
                memrchr(b'\n', piece).map(|i| i + 1)
            }
            Some((quote, escape)) if quote == escape => {
                // Doubled quotes leave and re-enter: parity alone tells.
                let mut from = 0;
                let mut end = None;
                for q in memchr_iter(quote, piece).chain([piece.len()]) {
                    if !self.in_quotes
                        && let Some(i) = memrchr(b'\n', &piece[from..q])
                    {
                        end = Some(from + i + 1);
                    }
                    if q < piece.len() {
                        self.in_quotes = !self.in_quotes;
                    }
                    from = q + 1;
                }
                end
            }
            Some((quote, escape)) => {
                let mut end = None;
                for (i, &b) in piece.iter().enumerate() {
                    if self.in_quotes {
                        if self.escaped {
                            self.escaped = false;
                        } else if b == escape {
                            self.escaped = true;
                        } else if b == quote {
                            self.in_quotes = false;
                        }
                    } else if b == quote {
                        self.in_quotes = true;
                    } else if b == b'\n' {
                        end = Some(i + 1);
                    }
                }
                end
            }
        }
    }

    /// In text format a backslash before the newline makes it data.
    fn last_end_text(&mut self, piece: &[u8]) -> Option<usize> {
        let carried = self.escaped;
        let backslashes_before = |at: usize| {
            let run = piece[..at].iter().rev().take_while(|b| **b == b'\\').count();
            run + usize::from(run == at && carried)
        };
        self.escaped = backslashes_before(piece.len()) % 2 == 1;
        let mut until = piece.len();
        while let Some(i) = memrchr(b'\n', &piece[..until]) {
            if backslashes_before(i) % 2 == 0 {
                return Some(i + 1);
            }
            until = i;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte, from the start.
    fn ends(format: &CopyFormat, data: &[u8]) -> Vec<usize> {
        let (mut quoted, mut escaped, mut out) = (false, false, vec![]);
        for (i, &b) in data.iter().enumerate() {
            if format.csv && format.quote == format.escape {
                if b == format.quote {
                    quoted = !quoted;
                }
                if b == b'\n' && !quoted {
                    out.push(i + 1);
                }
            } else if format.csv {
                if quoted && escaped {
                    escaped = false;
                } else if quoted && b == format.escape {
                    escaped = true;
                } else if b == format.quote {
                    quoted = !quoted;
                } else if b == b'\n' && !quoted {
                    out.push(i + 1);
                }
            } else if escaped {
                escaped = false;
            } else if b == b'\\' {
                escaped = true;
            } else if b == b'\n' {
                out.push(i + 1);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn pieces_end_where_the_whole_does(
            data in prop::collection::vec(prop::sample::select(b"a,\n\n\"\\".to_vec()), 0..60),
            cut in 0usize..60,
            kind in 0usize..3,
        ) {
            let format = match kind {
                0 => CopyFormat::text(1),
                1 => CopyFormat::csv(1),
                _ => CopyFormat { escape: b'\\', ..CopyFormat::csv(1) },
            };
            let cut = cut.min(data.len());
            let all = ends(&format, &data);
            let mut s = RecordSplitter::new(&format);
            let first = s.last_end(&data[..cut]);
            prop_assert_eq!(first, all.iter().copied().rfind(|e| *e <= cut));
            let second = s.last_end(&data[cut..]);
            prop_assert_eq!(second, all.iter().copied().rfind(|e| *e > cut).map(|e| e - cut));
        }
    }
}
