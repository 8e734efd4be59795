//! Bound expressions: names resolved, types known, overloads chosen. A closed set of shapes; everything with a name is a call.

use std::collections::BTreeSet;

use spg_types::{Datum, SqlType, def};

use crate::{CastDef, Comparison, Function, Signature};

/// Identifies a column within one statement's plan, whichever operator it comes from. An operator that computes a
/// column gives it a fresh id; operators that pass a column on keep its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColId(pub u32);

/// A bound expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A column of the input.
    Column {
        /// Which.
        id: ColId,
        /// Its type.
        ty: SqlType,
    },
    /// A literal, or what was folded to one.
    Const {
        /// The value.
        value: Datum,
        /// Its type.
        ty: SqlType,
    },
    /// `$n`; `index` counts from 0.
    Param {
        /// Which, from 0.
        index: usize,
        /// Its type.
        ty: SqlType,
    },
    /// A function or operator call.
    Call {
        /// The function.
        function: &'static Function,
        /// The overload.
        signature: &'static Signature,
        /// Arguments, of the overload's types.
        args: Vec<Expr>,
        /// Its type.
        ty: SqlType,
    },
    /// A cast; also applies a modifier of the same type.
    Cast {
        /// What is cast.
        input: Box<Expr>,
        /// The cast.
        cast: &'static CastDef,
        /// The target.
        ty: SqlType,
        /// Whether it was written (truncates strings) or came by itself (refuses).
        explicit: bool,
    },
    /// All true; evaluated from the left, only where still undecided. Never empty.
    And(Vec<Expr>),
    /// Any true; evaluated from the left, only where still undecided. Never empty.
    Or(Vec<Expr>),
    /// Negation.
    Not(Box<Expr>),
    /// `IS NULL`.
    IsNull(Box<Expr>),
    /// The first branch whose condition is true; NULL without one. Branches are evaluated only for their rows.
    Case {
        /// Conditions and results, results of type `ty`.
        branches: Vec<(Expr, Expr)>,
        /// `ELSE`.
        otherwise: Option<Box<Expr>>,
        /// Its type.
        ty: SqlType,
    },
    /// The first argument that is not NULL; later ones are evaluated only where needed.
    Coalesce {
        /// Arguments of type `ty`.
        args: Vec<Expr>,
        /// Its type.
        ty: SqlType,
    },
    /// `input IN (list)` by the type's equality; all of one type. NULL as SQL has it.
    InList {
        /// What is looked up.
        input: Box<Expr>,
        /// Where: usually constants.
        list: Vec<Expr>,
        /// `NOT IN`.
        negated: bool,
    },
}

impl Expr {
    /// Its type.
    pub fn ty(&self) -> SqlType {
        match self {
            Expr::Column { ty, .. }
            | Expr::Const { ty, .. }
            | Expr::Param { ty, .. }
            | Expr::Call { ty, .. }
            | Expr::Cast { ty, .. }
            | Expr::Case { ty, .. }
            | Expr::Coalesce { ty, .. } => *ty,
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::IsNull(_) | Expr::InList { .. } => {
                SqlType::new(&def::BOOL)
            }
        }
    }

    /// The boolean constant.
    pub fn boolean(value: bool) -> Expr {
        Expr::Const { value: Datum::Bool(value), ty: SqlType::new(&def::BOOL) }
    }

    /// NULL of a type.
    pub fn null(ty: SqlType) -> Expr {
        Expr::Const { value: Datum::Null, ty }
    }

    /// Whether this is the constant `value`.
    pub fn is_bool(&self, value: bool) -> bool {
        matches!(self, Expr::Const { value: Datum::Bool(v), .. } if *v == value)
    }

    /// Direct children, in order of evaluation.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column { .. } | Expr::Const { .. } | Expr::Param { .. } => vec![],
            Expr::Call { args, .. } | Expr::Coalesce { args, .. } | Expr::And(args) | Expr::Or(args) => {
                args.iter().collect()
            }
            Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull(input) => vec![input],
            Expr::Case { branches, otherwise, .. } => {
                branches.iter().flat_map(|(c, r)| [c, r]).chain(otherwise.as_deref()).collect()
            }
            Expr::InList { input, list, .. } => std::iter::once(&**input).chain(list).collect(),
        }
    }

    /// Direct children, to change.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Column { .. } | Expr::Const { .. } | Expr::Param { .. } => vec![],
            Expr::Call { args, .. } | Expr::Coalesce { args, .. } | Expr::And(args) | Expr::Or(args) => {
                args.iter_mut().collect()
            }
            Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull(input) => vec![input],
            Expr::Case { branches, otherwise, .. } => {
                branches.iter_mut().flat_map(|(c, r)| [c, r]).chain(otherwise.as_deref_mut()).collect()
            }
            Expr::InList { input, list, .. } => std::iter::once(&mut **input).chain(list).collect(),
        }
    }

    /// Calls `f` on this expression and everything below, parents first.
    pub fn visit(&self, f: &mut dyn FnMut(&Expr)) {
        f(self);
        for c in self.children() {
            c.visit(f);
        }
    }

    /// Replaces bottom-up: `f` may change each node after its children.
    pub fn rewrite(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        for c in self.children_mut() {
            c.rewrite(f);
        }
        f(self);
    }

    /// The columns it reads.
    pub fn columns(&self) -> BTreeSet<ColId> {
        let mut set = BTreeSet::new();
        self.visit(&mut |e| {
            if let Expr::Column { id, .. } = e {
                set.insert(*id);
            }
        });
        set
    }

    /// Operator and operands, if it is a comparison.
    pub fn as_comparison(&self) -> Option<(Comparison, &Expr, &Expr)> {
        match self {
            Expr::Call { function, args, .. } if args.len() == 2 => {
                function.comparison.map(|c| (c, &args[0], &args[1]))
            }
            _ => None,
        }
    }

    /// Its conjuncts: the parts of a top-level AND, else itself.
    pub fn into_conjuncts(self) -> Vec<Expr> {
        match self {
            Expr::And(parts) => parts.into_iter().flat_map(Expr::into_conjuncts).collect(),
            e if e.is_bool(true) => vec![],
            e => vec![e],
        }
    }

    /// The conjunction of several; true for none.
    pub fn conjunction(mut parts: Vec<Expr>) -> Expr {
        match parts.len() {
            0 => Expr::boolean(true),
            1 => parts.swap_remove(0),
            _ => Expr::And(parts),
        }
    }
}
