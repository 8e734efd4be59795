//! Expressions as SQL text.

use std::collections::{HashMap, HashSet};

use spg_expr::{ColId, Expr};
use spg_types::{Category, FormatSettings, SqlType};

use crate::tree::{made, visit};
use crate::{OutCol, Plan, SortKey};

/// Names of a plan's columns: qualified by their relation when there is more than one.
pub struct Names {
    names: HashMap<ColId, String>,
}

impl Names {
    /// The names of all columns that a plan makes.
    pub fn of(plan: &Plan) -> Names {
        let (mut names, mut relations) = (HashMap::new(), 0);
        visit(plan, &mut |p| {
            relations += usize::from(matches!(
                p,
                Plan::Scan(_) | Plan::SystemScan { .. } | Plan::CteScan { .. } | Plan::TableFunction { .. }
            ));
        });
        let mut taken = HashSet::new();
        visit(plan, &mut |p| {
            let relation = match p {
                Plan::Scan(s) => Some(s.alias.as_str()),
                Plan::SystemScan { relation, .. } => Some(relation.name),
                Plan::CteScan { name, .. } => Some(name.as_str()),
                _ => None,
            };
            for c in made(p) {
                let mut name = ident(&c.name);
                if let (Some(r), true) = (relation, relations > 1) {
                    name = format!("{}.{name}", ident(r));
                }
                // Equal names (two unnamed computations) are told apart by a number.
                let mut unique = name.clone();
                let mut n = 1;
                while !taken.insert(unique.clone()) {
                    n += 1;
                    unique = format!("{name}_{n}");
                }
                names.insert(c.id, unique);
            }
        });
        Names { names }
    }

    /// A column's name.
    pub fn column(&self, id: ColId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| format!("${}", id.0))
    }

    pub(crate) fn columns(&self, list: &[ColId]) -> String {
        list.iter().map(|c| self.column(*c)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn outs(&self, list: &[OutCol]) -> String {
        list.iter().map(|c| self.column(c.id)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn keys(&self, list: &[SortKey]) -> String {
        let key = |k: &SortKey| {
            let mut s = self.column(k.column);
            if k.descending {
                s.push_str(" DESC");
            }
            if k.nulls_first != k.descending {
                s.push_str(if k.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            s
        };
        list.iter().map(key).collect::<Vec<_>>().join(", ")
    }

    /// Conjuncts joined by AND, as PostgreSQL parenthesizes them.
    pub(crate) fn conjuncts(&self, list: &[Expr]) -> String {
        match list {
            [one] => self.outer(one),
            many => format!("({})", many.iter().map(|e| self.outer(e)).collect::<Vec<_>>().join(" AND ")),
        }
    }

    /// With parentheses around what is not a name or a call.
    fn outer(&self, e: &Expr) -> String {
        let s = self.sql(e);
        if s.starts_with('(') || matches!(e, Expr::Column { .. } | Expr::Const { .. }) {
            s
        } else {
            format!("({s})")
        }
    }

    pub(crate) fn list(&self, list: &[Expr]) -> String {
        list.iter().map(|e| self.sql(e)).collect::<Vec<_>>().join(", ")
    }

    /// An expression as SQL.
    pub fn sql(&self, e: &Expr) -> String {
        match e {
            Expr::Column { id, .. } => self.column(*id),
            Expr::Const { value, ty } if value.is_null() => format!("NULL::{}", type_name(*ty)),
            Expr::Const { value, ty } => {
                let text = value.to_text(*ty, &FormatSettings::default()).unwrap_or_default();
                match ty.def.category {
                    Category::Numeric
                        if !text.starts_with('-') && text.ends_with(|c: char| c.is_ascii_digit()) =>
                    {
                        text
                    }
                    Category::Boolean => (if text == "t" { "true" } else { "false" }).into(),
                    _ => format!("'{}'::{}", text.replace('\'', "''"), type_name(*ty)),
                }
            }
            Expr::Param { index, .. } => format!("${}", index + 1),
            Expr::Call { function, args, .. } => self.call(function.name, args),
            Expr::Cast { input, ty, .. } => {
                let inner = self.sql(input);
                match &**input {
                    Expr::Column { .. } | Expr::Const { .. } | Expr::Param { .. } => {
                        format!("({inner})::{}", type_name(*ty))
                    }
                    _ => format!("{}::{}", self.outer(input), type_name(*ty)),
                }
            }
            Expr::And(parts) => self.joined(parts, " AND "),
            Expr::Or(parts) => self.joined(parts, " OR "),
            Expr::Not(e) => match &**e {
                Expr::IsNull(e) => format!("({} IS NOT NULL)", self.sql(e)),
                e => format!("(NOT {})", self.outer(e)),
            },
            Expr::IsNull(e) => format!("({} IS NULL)", self.sql(e)),
            Expr::Case { branches, otherwise, .. } => {
                let mut s = String::from("CASE");
                for (c, r) in branches {
                    s.push_str(&format!(" WHEN {} THEN {}", self.outer(c), self.sql(r)));
                }
                if let Some(e) = otherwise {
                    s.push_str(&format!(" ELSE {}", self.sql(e)));
                }
                s.push_str(" END");
                s
            }
            Expr::Coalesce { args, .. } => format!("COALESCE({})", self.list(args)),
            Expr::InList { input, list, negated } => {
                format!(
                    "({} {}IN ({}))",
                    self.sql(input),
                    if *negated { "NOT " } else { "" },
                    self.list(list)
                )
            }
        }
    }

    fn joined(&self, parts: &[Expr], by: &str) -> String {
        format!("({})", parts.iter().map(|e| self.outer(e)).collect::<Vec<_>>().join(by))
    }

    fn call(&self, name: &str, args: &[Expr]) -> String {
        let operator = !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        match args {
            [a, b] if operator || name.starts_with("is ") => {
                let name = if operator { name.to_string() } else { name.to_uppercase() };
                format!("({} {name} {})", self.sql(a), self.sql(b))
            }
            [a] if operator => format!("({name} {})", self.sql(a)),
            args => format!("{name}({})", self.list(args)),
        }
    }
}

fn type_name(ty: SqlType) -> String {
    ty.to_string()
}

fn ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$');
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
