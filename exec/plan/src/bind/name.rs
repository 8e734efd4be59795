//! The name of a result column that has no alias, as PostgreSQL chooses it.

use spg_sql::ast::{self, DataType, Expr as E, SetExpr};
use spg_sql::{fold, folded_name};

use super::data_type::sql_type;

/// The column's name.
pub(super) fn column_name(e: &E) -> String {
    name_of(e).map_or_else(|| "?column?".into(), |(name, _)| name)
}

/// A name and whether it is a strong one: a weak one gives way to what stands around it.
fn name_of(e: &E) -> Option<(String, bool)> {
    let strong = |s: &str| Some((s.to_string(), true));
    match e {
        E::Identifier(i) => Some((fold(i), true)),
        E::CompoundIdentifier(parts) => parts.last().map(|i| (fold(i), true)),
        E::Nested(e) | E::Collate { expr: e, .. } => name_of(e),
        E::Function(f) => folded_name(&f.name).pop().map(|n| (n, true)),
        E::Cast { expr, data_type, .. } => match name_of(expr) {
            Some((name, true)) => Some((name, true)),
            weak => type_name(data_type).map(|n| (n, false)).or(weak),
        },
        E::TypedString(t) => type_name(&t.data_type).map(|n| (n, false)),
        E::Interval(_) => Some(("interval".into(), false)),
        E::Case { else_result, .. } => match else_result.as_deref().and_then(name_of) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".into(), false)),
        },
        E::Exists { .. } => strong("exists"),
        E::Subquery(q) => subquery_name(&q.body).map(|n| (n, true)),
        E::Array(_) => strong("array"),
        E::Tuple(_) => strong("row"),
        E::Extract { .. } => strong("extract"),
        E::Ceil { .. } => strong("ceil"),
        E::Floor { .. } => strong("floor"),
        E::Position { .. } => strong("position"),
        E::Substring { .. } => strong("substring"),
        E::Overlay { .. } => strong("overlay"),
        E::AtTimeZone { .. } => strong("timezone"),
        E::Trim { trim_where, .. } => strong(match trim_where {
            None | Some(ast::TrimWhereField::Both) => "btrim",
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
        }),
        _ => None,
    }
}

fn type_name(ty: &DataType) -> Option<String> {
    sql_type(ty).ok().map(|t| t.def.name.to_string())
}

fn subquery_name(body: &SetExpr) -> Option<String> {
    match body {
        SetExpr::Select(s) => match s.projection.first()? {
            ast::SelectItem::UnnamedExpr(e) => Some(column_name(e)),
            ast::SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
            _ => None,
        },
        SetExpr::Query(q) => subquery_name(&q.body),
        SetExpr::SetOperation { left, .. } => subquery_name(left),
        SetExpr::Values(_) => Some("column1".into()),
        _ => None,
    }
}
