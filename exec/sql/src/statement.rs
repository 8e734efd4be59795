//! One statement: its tree and where it stands in the text.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;
use sqlparser::tokenizer::Span;

use crate::{Own, position};

/// A statement's tree: sqlparser's, or ours where it has none that serves.
#[derive(Clone, Debug)]
pub enum Tree {
    /// sqlparser's.
    Sql(Box<ast::Statement>),
    /// Ours.
    Own(Box<Own>),
}

/// A parsed statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its tree.
    pub tree: Tree,
    /// The whole text that was parsed; other statements may stand beside this one.
    source: Arc<str>,
    /// Bytes of `source` that are this statement.
    range: Range<usize>,
}

impl Statement {
    pub(crate) fn new(tree: Tree, source: Arc<str>, range: Range<usize>) -> Self {
        Self { tree, source, range }
    }

    /// sqlparser's tree, if it is one of its statements.
    pub fn ast(&self) -> Option<&ast::Statement> {
        match &self.tree {
            Tree::Sql(ast) => Some(ast),
            Tree::Own(_) => None,
        }
    }

    /// Its text, without the semicolon and what surrounds it.
    pub fn text(&self) -> &str {
        &self.source[self.range.clone()]
    }

    /// The text it came in: positions count from its start.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// A statement inside this one (of EXPLAIN, PREPARE), at the same place.
    pub fn with_ast(&self, ast: ast::Statement) -> Statement {
        Self { tree: Tree::Sql(Box::new(ast)), source: self.source.clone(), range: self.range.clone() }
    }

    /// The 1-based character position of a part of its tree, where the parser kept one.
    pub fn position(&self, span: Span) -> Option<usize> {
        position::character(&self.source, span.start)
    }
}

/// The name that an identifier means: as written when quoted, else in lower case; at most 63 bytes.
pub fn fold(ident: &ast::Ident) -> String {
    const MAX_BYTES: usize = 63;
    let mut name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    if name.len() > MAX_BYTES {
        let end = (0..=MAX_BYTES).rev().find(|&n| name.is_char_boundary(n)).unwrap_or(0);
        name.truncate(end);
    }
    name
}

/// The parts of a possibly qualified name, folded.
pub fn folded_name(name: &ast::ObjectName) -> Vec<String> {
    name.0.iter().map(|part| part.as_ident().map_or_else(|| part.to_string(), fold)).collect()
}
