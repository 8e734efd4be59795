//! Statements that sqlparser lacks or reads too narrowly, parsed over its token stream.

use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// A statement with a tree of our own.
#[derive(Clone, Debug)]
pub enum Own {
    /// BACKUP DATABASE TO a file on the server, or to the client.
    Backup(Option<String>),
    /// CHECKPOINT.
    Checkpoint,
    /// COPY.
    Copy(Copy),
    /// FETCH and MOVE.
    Fetch(Fetch),
    /// CREATE and ALTER ROLE, USER, GROUP.
    Role(Role),
    /// VACUUM and ANALYZE.
    Vacuum(Vacuum),
    /// SHOW of a setting; `all` for all of them.
    Show(String),
    /// RESET of a setting.
    Reset(String),
}

/// COPY.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub source: ast::CopySource,
    /// TO rather than FROM.
    pub to: bool,
    /// The other side.
    pub target: ast::CopyTarget,
    /// Options by name, in lower case, old forms under their new names.
    pub options: Vec<(Ident, OptionValue)>,
}

/// The value of an option.
#[derive(Clone, Debug)]
pub enum OptionValue {
    /// None written.
    None,
    /// A word, a string or a number.
    Text(String),
    /// `*`.
    All,
    /// `(a, b)`.
    List(Vec<Ident>),
}

/// FETCH and MOVE.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// MOVE.
    pub is_move: bool,
    /// The cursor.
    pub name: Ident,
    /// Where to.
    pub direction: Direction,
}

/// Where FETCH goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// That many rows on; negative is back.
    Forward(i64),
    /// All remaining rows.
    ForwardAll,
    /// Anything that moves otherwise.
    Other,
}

/// CREATE and ALTER ROLE.
#[derive(Clone, Debug)]
pub struct Role {
    /// ALTER rather than CREATE.
    pub alter: bool,
    /// The role.
    pub name: Ident,
    /// USER: may log in unless told otherwise.
    pub is_user: bool,
    /// Options by name, in lower case: `login`, `nologin`, `superuser`, ...; the password's text under `password`.
    pub options: Vec<(Ident, OptionValue)>,
}

/// VACUUM and ANALYZE.
#[derive(Clone, Debug)]
pub struct Vacuum {
    /// ANALYZE alone.
    pub only_analyze: bool,
    /// VACUUM ANALYZE.
    pub analyze: bool,
    /// VACUUM FULL.
    pub full: bool,
    /// An option that there is not.
    pub unknown: Option<Ident>,
    /// Tables with the columns to be analyzed, none for all columns; no tables for all.
    pub tables: Vec<(ObjectName, Vec<Ident>)>,
}

/// Options that change nothing here: how PostgreSQL goes through a table's pages.
const VACUUM_HINTS: [&str; 8] = [
    "verbose",
    "freeze",
    "disable_page_skipping",
    "skip_locked",
    "index_cleanup",
    "process_toast",
    "truncate",
    "parallel",
];

type Parsed<T> = Result<T, ParserError>;

/// A statement of ours; `None` leaves the statement to sqlparser.
pub(crate) fn parse(p: &mut Parser) -> Parsed<Option<Own>> {
    let word = match &p.peek_token_ref().token {
        Token::Word(w) if w.quote_style.is_none() => w.value.to_lowercase(),
        _ => return Ok(None),
    };
    match word.as_str() {
        "backup" => {
            p.next_token();
            if !eat(p, "database") || !eat(p, "to") {
                return refuse(p);
            }
            if eat(p, "stdout") {
                return Ok(Some(Own::Backup(None)));
            }
            string(p).map(|path| Some(Own::Backup(Some(path))))
        }
        "checkpoint" => {
            p.next_token();
            Ok(Some(Own::Checkpoint))
        }
        "copy" => {
            p.next_token();
            copy(p).map(|c| Some(Own::Copy(c)))
        }
        "fetch" | "move" => {
            p.next_token();
            fetch(p, word == "move").map(|f| Some(Own::Fetch(f)))
        }
        "vacuum" | "analyze" | "analyse" => {
            p.next_token();
            vacuum(p, word != "vacuum").map(|v| Some(Own::Vacuum(v)))
        }
        "show" => {
            p.next_token();
            setting(p).map(|s| Some(Own::Show(s)))
        }
        "reset" => {
            p.next_token();
            setting(p).map(|s| Some(Own::Reset(s)))
        }
        "create" | "alter" => role(p, word == "alter"),
        _ => Ok(None),
    }
}

/// The next token's word in lower case.
fn word(p: &Parser) -> Option<String> {
    match &p.peek_token_ref().token {
        Token::Word(w) => {
            Some(if w.quote_style.is_some() { w.value.clone() } else { w.value.to_lowercase() })
        }
        _ => None,
    }
}

fn eat(p: &mut Parser, expected: &str) -> bool {
    let found = matches!(
        &p.peek_token_ref().token,
        Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(expected)
    );
    if found {
        p.next_token();
    }
    found
}

fn refuse<T>(p: &Parser) -> Parsed<T> {
    p.expected("something else", p.peek_token())
}

fn string(p: &mut Parser) -> Parsed<String> {
    match p.peek_token().token {
        Token::SingleQuotedString(s) | Token::EscapedStringLiteral(s) | Token::UnicodeStringLiteral(s) => {
            p.next_token();
            Ok(s)
        }
        Token::DollarQuotedString(s) => {
            p.next_token();
            Ok(s.value)
        }
        _ => refuse(p),
    }
}

fn ident_list(p: &mut Parser) -> Parsed<Vec<Ident>> {
    p.expect_token(&Token::LParen)?;
    let list = p.parse_comma_separated(Parser::parse_identifier)?;
    p.expect_token(&Token::RParen)?;
    Ok(list)
}

fn copy(p: &mut Parser) -> Parsed<Copy> {
    let mut options = vec![];
    if eat(p, "binary") {
        options.push((Ident::new("format"), OptionValue::Text("binary".into())));
    }
    let source = if p.peek_token_ref().token == Token::LParen {
        p.next_token();
        let query = p.parse_query()?;
        p.expect_token(&Token::RParen)?;
        ast::CopySource::Query(query)
    } else {
        let table_name = p.parse_object_name(false)?;
        let columns = if p.peek_token_ref().token == Token::LParen { ident_list(p)? } else { vec![] };
        ast::CopySource::Table { table_name, columns }
    };
    let is_query = matches!(source, ast::CopySource::Query(_));
    let to = match p.peek_token_ref().token {
        _ if p.peek_keyword(Keyword::TO) => true,
        _ if p.peek_keyword(Keyword::FROM) && !is_query => false,
        _ => return refuse(p),
    };
    p.next_token();
    let target = if eat(p, "stdin") {
        ast::CopyTarget::Stdin
    } else if eat(p, "stdout") {
        ast::CopyTarget::Stdout
    } else if eat(p, "program") {
        ast::CopyTarget::Program { command: string(p)? }
    } else {
        ast::CopyTarget::File { filename: string(p)? }
    };
    let _ = eat(p, "with");
    if p.peek_token_ref().token == Token::LParen {
        p.next_token();
        options.extend(p.parse_comma_separated(copy_option)?);
        p.expect_token(&Token::RParen)?;
    } else {
        while let Some(option) = old_copy_option(p)? {
            options.push(option);
        }
    }
    if !to && p.peek_keyword(Keyword::WHERE) {
        options.push((p.parse_identifier()?, OptionValue::None));
        p.parse_expr()?;
    }
    Ok(Copy { source, to, target, options })
}

fn copy_option(p: &mut Parser) -> Parsed<(Ident, OptionValue)> {
    let mut name = p.parse_identifier()?;
    name.value = name.value.to_lowercase();
    let value = match p.peek_token().token {
        Token::Comma | Token::RParen => OptionValue::None,
        Token::Mul => {
            p.next_token();
            OptionValue::All
        }
        Token::LParen => OptionValue::List(ident_list(p)?),
        Token::Word(w) => {
            p.next_token();
            OptionValue::Text(w.value)
        }
        Token::Number(n, _) => {
            p.next_token();
            OptionValue::Text(n)
        }
        _ => OptionValue::Text(string(p)?),
    };
    Ok((name, value))
}

/// The options of COPY before they were a list in parentheses.
fn old_copy_option(p: &mut Parser) -> Parsed<Option<(Ident, OptionValue)>> {
    let Some(name) = word(p) else { return Ok(None) };
    let span = p.peek_token_ref().span;
    let option = |name: &str, value| Ok(Some((Ident::with_span(span, name), value)));
    match name.as_str() {
        "csv" | "binary" => {
            p.next_token();
            option("format", OptionValue::Text(name))
        }
        "header" | "freeze" => {
            p.next_token();
            option(&name, OptionValue::None)
        }
        "delimiter" | "null" | "quote" | "escape" | "encoding" => {
            p.next_token();
            let _ = eat(p, "as");
            let value = string(p)?;
            option(&name, OptionValue::Text(value))
        }
        "force" => {
            p.next_token();
            let name = if eat(p, "quote") {
                "force_quote"
            } else if eat(p, "not") {
                if !eat(p, "null") {
                    return refuse(p);
                }
                "force_not_null"
            } else if eat(p, "null") {
                "force_null"
            } else {
                return refuse(p);
            };
            if p.peek_token_ref().token == Token::Mul {
                p.next_token();
                return option(name, OptionValue::All);
            }
            let list = p.parse_comma_separated(Parser::parse_identifier)?;
            option(name, OptionValue::List(list))
        }
        _ => Ok(None),
    }
}

fn fetch(p: &mut Parser, is_move: bool) -> Parsed<Fetch> {
    let number = |p: &mut Parser| -> Parsed<Option<i64>> {
        let negative = p.consume_token(&Token::Minus);
        match p.peek_token().token {
            Token::Number(n, _) => {
                p.next_token();
                let n: i64 = n.parse().or_else(|_| refuse(p))?;
                Ok(Some(if negative { -n } else { n }))
            }
            _ if negative => refuse(p),
            _ => Ok(None),
        }
    };
    let direction = if eat(p, "next") {
        Direction::Forward(1)
    } else if eat(p, "all") {
        Direction::ForwardAll
    } else if eat(p, "forward") {
        if eat(p, "all") { Direction::ForwardAll } else { Direction::Forward(number(p)?.unwrap_or(1)) }
    } else if eat(p, "prior") || eat(p, "first") || eat(p, "last") {
        Direction::Other
    } else if eat(p, "absolute") || eat(p, "relative") || eat(p, "backward") {
        if !eat(p, "all") {
            number(p)?;
        }
        Direction::Other
    } else {
        number(p)?.map_or(Direction::Forward(1), Direction::Forward)
    };
    let _ = eat(p, "from") || eat(p, "in");
    let name = p.parse_identifier()?;
    Ok(Fetch { is_move, name, direction })
}

fn vacuum(p: &mut Parser, only_analyze: bool) -> Parsed<Vacuum> {
    let mut v = Vacuum { only_analyze, analyze: only_analyze, full: false, unknown: None, tables: vec![] };
    if p.peek_token_ref().token == Token::LParen {
        p.next_token();
        for (name, value) in p.parse_comma_separated(copy_option)? {
            let on = !matches!(&value, OptionValue::Text(t) if ["false", "off", "0"].contains(&t.to_lowercase().as_str()));
            match name.value.as_str() {
                "verbose" | "skip_locked" => {}
                "full" if !only_analyze => v.full = on,
                "analyze" if !only_analyze => v.analyze = on,
                other if !only_analyze && VACUUM_HINTS.contains(&other) => {}
                _ => v.unknown = v.unknown.or(Some(name)),
            }
        }
        p.expect_token(&Token::RParen)?;
    } else {
        v.full = !only_analyze && eat(p, "full");
        let _ = !only_analyze && eat(p, "freeze");
        let _ = eat(p, "verbose");
        v.analyze |= !only_analyze && (eat(p, "analyze") || eat(p, "analyse"));
    }
    if matches!(p.peek_token_ref().token, Token::Word(_)) {
        v.tables = p.parse_comma_separated(|p| {
            let name = p.parse_object_name(false)?;
            let columns = if p.peek_token_ref().token == Token::LParen { ident_list(p)? } else { Vec::new() };
            Ok((name, columns))
        })?;
    }
    Ok(v)
}

/// A setting's name: dotted, or one of the names of several words.
fn setting(p: &mut Parser) -> Parsed<String> {
    if eat(p, "time") {
        return if eat(p, "zone") { Ok("timezone".into()) } else { refuse(p) };
    }
    if eat(p, "transaction") {
        return if eat(p, "isolation") && eat(p, "level") {
            Ok("transaction_isolation".into())
        } else {
            refuse(p)
        };
    }
    if eat(p, "session") {
        return if eat(p, "authorization") { Ok("session_authorization".into()) } else { refuse(p) };
    }
    let Some(mut name) = word(p) else { return refuse(p) };
    p.next_token();
    while p.consume_token(&Token::Period) {
        let Some(part) = word(p) else { return refuse(p) };
        p.next_token();
        name = format!("{name}.{part}");
    }
    Ok(name)
}

/// CREATE and ALTER ROLE, USER, GROUP with options; other forms are left to sqlparser.
fn role(p: &mut Parser, alter: bool) -> Parsed<Option<Own>> {
    let kind = match p.peek_nth_token(1).token {
        Token::Word(w) => w.value.to_lowercase(),
        _ => return Ok(None),
    };
    let mapping =
        matches!(p.peek_nth_token(2).token, Token::Word(w) if w.value.eq_ignore_ascii_case("mapping"));
    if !["role", "user", "group"].contains(&kind.as_str()) || mapping {
        return Ok(None);
    }
    p.next_token();
    p.next_token();
    let name = p.parse_identifier()?;
    let _ = eat(p, "with");
    let mut options = vec![];
    while let Some(option) = word(p) {
        let span = p.peek_token_ref().span;
        p.next_token();
        let (option, value) = match option.as_str() {
            "encrypted" if eat(p, "password") => ("password", OptionValue::Text(string(p)?)),
            "password" if eat(p, "null") => ("password", OptionValue::None),
            "password" => ("password", OptionValue::Text(string(p)?)),
            "valid" if eat(p, "until") => ("valid until", OptionValue::Text(string(p)?)),
            "connection" if eat(p, "limit") => {
                let _ = p.consume_token(&Token::Minus);
                p.parse_number_value()?;
                ("connection limit", OptionValue::None)
            }
            "sysid" => {
                p.parse_number_value()?;
                ("sysid", OptionValue::None)
            }
            "in" | "role" | "user" | "admin" => {
                let _ = eat(p, "role") || eat(p, "group");
                ("membership", OptionValue::List(p.parse_comma_separated(Parser::parse_identifier)?))
            }
            "set" | "reset" | "rename" | "add" | "drop" => {
                while !matches!(p.peek_token_ref().token, Token::EOF) {
                    p.next_token();
                }
                ("set", OptionValue::None)
            }
            flag => {
                options.push((Ident::with_span(span, flag), OptionValue::None));
                continue;
            }
        };
        options.push((Ident::with_span(span, option), value));
    }
    Ok(Some(Own::Role(Role { alter, name, is_user: kind == "user", options })))
}
