//! The parser driver: splits a text into statements, parses each, keeps recursion within bounds.

use std::sync::Arc;

use spg_types::{Error, Result};
use sqlparser::ast;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::dialect::SpgDialect;
use crate::position::offset;
use crate::{Statement, Tree, error, own, rewrite};

/// How deeply expressions and queries may nest; deeper is 54001.
pub const MAX_DEPTH: usize = 1000;

/// How many operators a statement may chain without a comma between them; more is 54001. Chains become left-deep trees, whose
/// depth every later pass pays with its stack.
const MAX_CHAIN: usize = 20_000;

/// Stack kept per level of a tree while it is built or dropped.
const STACK_BYTES_PER_LEVEL: usize = 512;

/// The statements of a text, in order; none for a text of white space, comments and semicolons.
///
/// Errors: 42601 with PostgreSQL's message and the position, 54001 for nesting deeper than [`MAX_DEPTH`].
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    let source: Arc<str> = text.into();
    let tokens = tokenize(&source)?;
    rewrite::check(&source, &tokens)?;
    let depth = check_chains(&tokens)?;
    // Trees are dropped where parsing fails, so all of it runs on a stack that fits them.
    on_large_stack(depth, || {
        let mut statements = Vec::new();
        for piece in tokens.split(|t| t.token == Token::SemiColon) {
            statements.extend(parse_piece(&source, piece)?);
        }
        Ok(statements)
    })
}

/// One expression, as DEFAULT and CHECK keep it in the catalog.
pub fn parse_expr(text: &str) -> Result<ast::Expr> {
    let tokens = tokenize(text)?;
    let depth = check_chains(&tokens)?;
    on_large_stack(depth, || {
        let mut parser = parser(&tokens);
        let expr = parser.parse_expr().map_err(|e| stopped(text, &tokens, &e, &parser))?;
        match parser.peek_token() {
            t if t.token == Token::EOF => Ok(expr),
            t => Err(error::at_token(text, &t)),
        }
    })
}

fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>> {
    Tokenizer::new(&SpgDialect, text).tokenize_with_location().map_err(|e| error::from_tokenizer(text, e))
}

fn parser(tokens: &[TokenWithSpan]) -> Parser<'static> {
    Parser::new(&SpgDialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens.to_vec())
}

/// The statement between two semicolons, if there is one.
fn parse_piece(source: &Arc<str>, piece: &[TokenWithSpan]) -> Result<Option<Statement>> {
    let is_text = |t: &&TokenWithSpan| !matches!(t.token, Token::Whitespace(_) | Token::EOF);
    let (Some(first), Some(last)) = (piece.iter().find(is_text), piece.iter().rfind(is_text)) else {
        return Ok(None);
    };
    let start = offset(source, first.span.start).unwrap_or(0);
    let end = offset(source, last.span.end).unwrap_or(source.len());
    // Errors at the end point behind the last token, as PostgreSQL's do when the text ends there.
    let text = &source[..];
    let tokens = rewrite::rewrite(piece);
    let mut parser = parser(&tokens);
    let tree = statement_tree(&mut parser).map_err(|e| stopped(text, &tokens, &e, &parser))?;
    match parser.peek_token() {
        t if t.token == Token::EOF => Ok(Some(Statement::new(tree, source.clone(), start..end))),
        t => Err(error::at_token(text, &t)),
    }
}

fn statement_tree(parser: &mut Parser) -> std::result::Result<Tree, ParserError> {
    Ok(match own::parse(parser)? {
        Some(own) => Tree::Own(Box::new(own)),
        None => Tree::Sql(Box::new(parser.parse_statement()?)),
    })
}

fn stopped(text: &str, tokens: &[TokenWithSpan], e: &ParserError, parser: &Parser) -> Error {
    error::from_parser(text, tokens, e, parser.get_current_index())
}

/// An upper bound of the trees' depth; 54001 when a chain is too long.
fn check_chains(tokens: &[TokenWithSpan]) -> Result<usize> {
    let (mut run, mut total) = (0, 0);
    for t in tokens {
        match &t.token {
            Token::Comma | Token::SemiColon => run = 0,
            Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Period => {}
            Token::Word(w) if w.keyword == sqlparser::keywords::Keyword::NoKeyword => {}
            _ => {
                run += 1;
                total += 1;
                if run > MAX_CHAIN {
                    return Err(error::too_deep());
                }
            }
        }
    }
    Ok(total)
}

/// Runs `f` with stack for trees of that depth.
fn on_large_stack<T>(depth: usize, f: impl FnOnce() -> Result<T>) -> Result<T> {
    const ORDINARY_DEPTH: usize = 500;
    if depth <= ORDINARY_DEPTH {
        return f();
    }
    stacker::maybe_grow(
        depth.min(4 * MAX_CHAIN) * STACK_BYTES_PER_LEVEL,
        2 * depth.min(4 * MAX_CHAIN) * STACK_BYTES_PER_LEVEL,
        f,
    )
}
