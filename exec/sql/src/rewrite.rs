//! Forms that sqlparser does not read, told in forms that it does, on the token stream; and tokens that PostgreSQL refuses.

use spg_types::{Error, Result, SqlState};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::position::{character, offset};

/// Begins the window name that stands for a frame's EXCLUDE; no identifier begins so. What follows is the exclusion, a colon, and
/// the written window name, if any.
pub const EXCLUSION_MARK: char = '\u{1}';

/// Refuses tokens that PostgreSQL's lexer refuses.
pub(crate) fn check(text: &str, tokens: &[TokenWithSpan]) -> Result<()> {
    for (at, t) in tokens.iter().enumerate() {
        let refuse = |message: String| {
            let error = Error::new(SqlState::SYNTAX_ERROR, message);
            Err(character(text, t.span.start).map_or_else(|| error.clone(), |p| error.clone().at(p)))
        };
        match &t.token {
            Token::Word(w) if w.value.is_empty() && w.quote_style.is_some() => {
                return refuse("zero-length delimited identifier at or near \"\"\"\"".into());
            }
            Token::Number(number, long) => {
                let junk = match tokens.get(at + 1) {
                    Some(TokenWithSpan { token: Token::Word(w), span }) if span.start == t.span.end => {
                        w.value.as_str()
                    }
                    _ if *long => "L",
                    _ => continue,
                };
                return refuse(format!("trailing junk after numeric literal at or near \"{number}{junk}\""));
            }
            Token::HexStringLiteral(digits) => {
                let at = offset(text, t.span.start).unwrap_or(0);
                if text.get(at..).is_some_and(|rest| rest.starts_with('0')) {
                    return refuse(format!("trailing junk after numeric literal at or near \"0x{digits}\""));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The tokens of one statement, rewritten.
pub(crate) fn rewrite(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = tokens.to_vec();
    table_commands(&mut out);
    named_columns(&mut out);
    exclusions(&mut out);
    interval_precisions(&mut out);
    double_stars(&mut out);
    similar_substrings(&mut out);
    deferrable(&mut out);
    nested_grouping_sets(&mut out);
    frame_offsets(&mut out);
    out
}

fn is_space(t: &TokenWithSpan) -> bool {
    matches!(t.token, Token::Whitespace(_))
}

fn keyword(t: &TokenWithSpan) -> Keyword {
    match &t.token {
        Token::Word(w) => w.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn word(value: &str, like: &TokenWithSpan) -> TokenWithSpan {
    TokenWithSpan { token: Token::make_word(value, None), span: like.span }
}

/// Places of the tokens that are not white space.
fn written(tokens: &[TokenWithSpan]) -> Vec<usize> {
    (0..tokens.len()).filter(|&i| !is_space(&tokens[i])).collect()
}

/// `TABLE t` as a query is `SELECT * FROM t`.
fn table_commands(tokens: &mut Vec<TokenWithSpan>) {
    if !tokens.iter().any(|t| keyword(t) == Keyword::TABLE) {
        return;
    }
    let places = written(tokens);
    let inserts = places.first().is_some_and(|&i| keyword(&tokens[i]) == Keyword::INSERT);
    let mut found = vec![];
    for (n, &at) in places.iter().enumerate().filter(|(_, at)| keyword(&tokens[**at]) == Keyword::TABLE) {
        let query = match n.checked_sub(1).map(|p| &tokens[places[p]]) {
            None => true,
            Some(t) if t.token == Token::LParen => true,
            Some(t) if inserts && n > 1 => t.token == Token::RParen || matches!(t.token, Token::Word(_)),
            Some(t) => matches!(
                keyword(t),
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::ALL | Keyword::DISTINCT
            ),
        };
        if query {
            found.push(at);
        }
    }
    for at in found.into_iter().rev() {
        let like = tokens[at].clone();
        let star = TokenWithSpan { token: Token::Mul, span: like.span };
        tokens.splice(at..=at, [word("SELECT", &like), star, word("FROM", &like)]);
    }
}

/// `CREATE TABLE t (a, b) AS`: columns without types get one that nothing reads.
fn named_columns(tokens: &mut Vec<TokenWithSpan>) {
    let places = written(tokens);
    let starts = places.first().is_some_and(|&i| keyword(&tokens[i]) == Keyword::CREATE)
        && places.iter().take(4).any(|&i| keyword(&tokens[i]) == Keyword::TABLE);
    if !starts {
        return;
    }
    let Some(open) = places.iter().position(|&i| tokens[i].token == Token::LParen) else { return };
    let mut names = vec![];
    let mut n = open + 1;
    loop {
        match (places.get(n).map(|&i| &tokens[i].token), places.get(n + 1).map(|&i| &tokens[i].token)) {
            (Some(Token::Word(_)), Some(Token::Comma)) => names.push(places[n]),
            (Some(Token::Word(_)), Some(Token::RParen)) => {
                names.push(places[n]);
                break;
            }
            _ => return,
        }
        n += 2;
    }
    if places.get(n + 2).is_some_and(|&i| keyword(&tokens[i]) == Keyword::AS) {
        for at in names.into_iter().rev() {
            let like = tokens[at].clone();
            tokens.splice(
                at + 1..at + 1,
                [Token::Whitespace(sqlparser::tokenizer::Whitespace::Space), Token::make_word("text", None)]
                    .map(|token| TokenWithSpan { token, span: like.span }),
            );
        }
    }
}

/// `INTERVAL(p) 'text'` is `INTERVAL 'text' (p)`.
fn interval_precisions(tokens: &mut [TokenWithSpan]) {
    if !tokens.iter().any(|t| keyword(t) == Keyword::INTERVAL) {
        return;
    }
    let places = written(tokens);
    for five in places.windows(5) {
        let [name, open, digits, close, text] = five else { continue };
        let precise = keyword(&tokens[*name]) == Keyword::INTERVAL
            && tokens[*open].token == Token::LParen
            && matches!(tokens[*digits].token, Token::Number(..))
            && tokens[*close].token == Token::RParen
            && matches!(tokens[*text].token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
        if precise {
            // To the front, what stood before it one place on.
            tokens.swap(*text, *close);
            tokens.swap(*close, *digits);
            tokens.swap(*digits, *open);
        }
    }
}

/// `[NOT] DEFERRABLE` as a mode of a transaction says nothing here: no transaction waits for a safe snapshot.
fn deferrable(tokens: &mut Vec<TokenWithSpan>) {
    let is = |t: &TokenWithSpan, text: &str| matches!(&t.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(text));
    let places = written(tokens);
    let first = |words: &[&str]| places.first().is_some_and(|&i| words.iter().any(|w| is(&tokens[i], w)));
    let begins = first(&["begin", "start"])
        || first(&["set"]) && places.iter().take(6).any(|&i| is(&tokens[i], "transaction"));
    if !begins {
        return;
    }
    if let Some(n) = (1..places.len()).rev().find(|&n| is(&tokens[places[n]], "deferrable")) {
        let mut from = n;
        if is(&tokens[places[from - 1]], "not") {
            from -= 1;
        }
        if from > 0 && tokens[places[from - 1]].token == Token::Comma {
            from -= 1;
        }
        tokens.drain(places[from]..=places[n]);
        deferrable(tokens);
    }
}

/// GROUPING SETS inside GROUPING SETS becomes a call of that name, which the parser reads there.
fn nested_grouping_sets(tokens: &mut Vec<TokenWithSpan>) {
    let is = |t: &TokenWithSpan, text: &str| matches!(&t.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(text));
    let places = written(tokens);
    let mut inside: Option<usize> = None;
    let mut depth = 0;
    for n in 0..places.len() {
        match tokens[places[n]].token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth -= 1;
                if inside.is_some_and(|at| depth < at) {
                    inside = None;
                }
            }
            _ => {}
        }
        let sets =
            is(&tokens[places[n]], "grouping") && places.get(n + 1).is_some_and(|&i| is(&tokens[i], "sets"));
        if !sets {
            continue;
        }
        if inside.is_none() {
            inside = Some(depth + 1);
            continue;
        }
        let (from, to) = (places[n], places[n + 1]);
        let name = Token::make_word(NESTED_SETS, Some('"'));
        tokens[from].token = name;
        tokens.drain(from + 1..=to);
        return nested_grouping_sets(tokens);
    }
}

/// `'1 day'::interval PRECEDING` in a window's frame goes into parentheses, without which the parser reads a string alone.
fn frame_offsets(tokens: &mut Vec<TokenWithSpan>) {
    let is = |t: &TokenWithSpan, text: &str| matches!(&t.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(text));
    if !tokens.iter().any(|t| is(t, "preceding") || is(t, "following")) {
        return;
    }
    let places = written(tokens);
    for n in (3..places.len()).rev() {
        let [text, colons, ty, bound] = [n - 3, n - 2, n - 1, n].map(|k| &tokens[places[k]]);
        let offset = (is(bound, "preceding") || is(bound, "following"))
            && matches!(ty.token, Token::Word(_))
            && colons.token == Token::DoubleColon
            && matches!(text.token, Token::SingleQuotedString(_));
        if offset {
            let (open, close) = (text.span, ty.span);
            tokens.insert(places[n - 1] + 1, TokenWithSpan { token: Token::RParen, span: close });
            tokens.insert(places[n - 3], TokenWithSpan { token: Token::LParen, span: open });
        }
    }
}

/// The name of the call that GROUPING SETS inside GROUPING SETS is read as.
pub const NESTED_SETS: &str = "\u{1}grouping sets";

/// `**` without space between is one operator.
fn double_stars(tokens: &mut Vec<TokenWithSpan>) {
    let star = |t: &TokenWithSpan| t.token == Token::Mul;
    for at in (1..tokens.len()).rev() {
        if star(&tokens[at]) && star(&tokens[at - 1]) && tokens[at - 1].span.end == tokens[at].span.start {
            tokens[at - 1].token = Token::CustomBinaryOperator("**".into());
            tokens.remove(at);
        }
    }
}

/// `SUBSTRING(text SIMILAR pattern ESCAPE e)` is `SUBSTRING(text FROM pattern FOR e)`.
fn similar_substrings(tokens: &mut [TokenWithSpan]) {
    let is = |t: &TokenWithSpan, text: &str| matches!(&t.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(text));
    if !tokens.iter().any(|t| is(t, "substring")) {
        return;
    }
    let places = written(tokens);
    for n in 1..places.len() {
        if tokens[places[n]].token != Token::LParen || !is(&tokens[places[n - 1]], "substring") {
            continue;
        }
        let mut depth = 0;
        let mut similar = None;
        for m in n..places.len() {
            let t = &tokens[places[m]];
            match &t.token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => break,
                Token::RParen => depth -= 1,
                _ if depth == 1 && is(t, "similar") => {
                    let to = places.get(m + 1).is_some_and(|&i| is(&tokens[i], "to"));
                    similar = (!to).then_some(m);
                }
                _ if depth == 1 && is(t, "escape") => {
                    if let Some(s) = similar.take() {
                        tokens[places[s]] = word("FROM", &tokens[places[s]].clone());
                        tokens[places[m]] = word("FOR", &tokens[places[m]].clone());
                    }
                }
                _ => {}
            }
        }
    }
}

/// `EXCLUDE ...` at the end of a window's frame moves into the window's name, under a mark.
fn exclusions(tokens: &mut Vec<TokenWithSpan>) {
    let is = |t: &TokenWithSpan, text: &str| matches!(&t.token, Token::Word(w) if w.value.eq_ignore_ascii_case(text));
    if !tokens.iter().any(|t| is(t, "exclude")) {
        return;
    }
    let places = written(tokens);
    for n in (0..places.len()).rev().filter(|&n| is(&tokens[places[n]], "exclude")) {
        let at = |k: usize| places.get(n + k).map(|&i| &tokens[i]);
        let two = |a: &str, b: &str| at(1).is_some_and(|t| is(t, a)) && at(2).is_some_and(|t| is(t, b));
        let (what, length) = if two("current", "row") {
            ("current row", 3)
        } else if two("no", "others") {
            ("no others", 3)
        } else if at(1).is_some_and(|t| is(t, "group")) {
            ("group", 2)
        } else if at(1).is_some_and(|t| is(t, "ties")) {
            ("ties", 2)
        } else {
            continue;
        };
        if at(length).is_none_or(|t| t.token != Token::RParen) {
            continue;
        }
        // The parenthesis that opens this window.
        let mut depth = 0;
        let open = (0..n).rev().find(|&k| match tokens[places[k]].token {
            Token::RParen => {
                depth += 1;
                false
            }
            Token::LParen if depth == 0 => true,
            Token::LParen => {
                depth -= 1;
                false
            }
            _ => false,
        });
        let Some(open) = open else { continue };
        // Only a frame has an exclusion.
        let framed =
            places[open..n].iter().any(|&i| ["rows", "range", "groups"].iter().any(|u| is(&tokens[i], u)));
        if !framed {
            continue;
        }
        let (from, to) = (places[n], places[n + length - 1]);
        tokens.drain(from..=to);
        let first = places[open + 1];
        let name = match &tokens[first].token {
            Token::Word(w) if w.keyword == Keyword::NoKeyword || w.quote_style.is_some() => Some(w.clone()),
            _ => None,
        };
        let folded = name.as_ref().map_or_else(String::new, |w| match w.quote_style {
            Some(_) => w.value.clone(),
            None => w.value.to_lowercase(),
        });
        let marked = Token::Word(Word {
            value: format!("{EXCLUSION_MARK}{what}:{folded}"),
            quote_style: Some('"'),
            keyword: Keyword::NoKeyword,
        });
        let token = TokenWithSpan { token: marked, span: tokens[first].span };
        match name {
            Some(_) => tokens[first] = token,
            None => tokens.insert(first, token),
        }
        // Places behind the change no longer hold: one exclusion per pass.
        return exclusions(tokens);
    }
}
