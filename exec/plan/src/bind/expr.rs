//! Expressions: each shape of the syntax tree to a bound expression.

use spg_expr::Expr;
use spg_sql::Span;
use spg_sql::ast::{self, BinaryOperator, Expr as E, Spanned as _, UnaryOperator};
use spg_types::{Error, Result, SqlState, SqlType, def};

use super::Binder;
use super::call::Callee;
use super::data_type::sql_type;
use super::literal::is_unknown;
use super::subquery::strip;

impl Binder<'_> {
    /// An expression of the current clause.
    pub(super) fn expr(&mut self, e: &E) -> Result<Expr> {
        self.nested(|b| b.expr_inner(e))
    }

    /// As [`Binder::expr`]; a literal without a type is text.
    pub(super) fn typed_expr(&mut self, e: &E) -> Result<Expr> {
        let bound = self.expr(e)?;
        self.or_text(bound)
    }

    fn expr_inner(&mut self, e: &E) -> Result<Expr> {
        match e {
            E::Nested(inner) => self.expr(inner),
            E::Identifier(ident) => self.identifier(ident),
            E::CompoundIdentifier(parts) => self.qualified_column(parts),
            E::Value(v) => self.value(&v.value, v.span),
            E::TypedString(t) => self.typed_string(t),
            E::Interval(i) => self.interval(i),
            E::BinaryOp { left, op, right } => self.binary(e, left, op, right),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::Cast {
                kind: kind @ (ast::CastKind::Cast | ast::CastKind::DoubleColon),
                expr,
                data_type,
                format: None,
            } => self.cast(expr, data_type, *kind == ast::CastKind::DoubleColon),
            E::IsNull(x) => self.is_null(x, false),
            E::IsNotNull(x) => self.is_null(x, true),
            E::IsTrue(x) => self.truth(x, "IS TRUE", false, false),
            E::IsNotTrue(x) => self.truth(x, "IS NOT TRUE", false, true),
            E::IsFalse(x) => self.truth(x, "IS FALSE", true, true),
            E::IsNotFalse(x) => self.truth(x, "IS NOT FALSE", true, false),
            E::IsUnknown(x) => self.is_unknown(x, "IS UNKNOWN").map(|x| Expr::IsNull(Box::new(x))),
            E::IsNotUnknown(x) => {
                self.is_unknown(x, "IS NOT UNKNOWN").map(|x| Expr::Not(Box::new(Expr::IsNull(Box::new(x)))))
            }
            E::IsDistinctFrom(l, r) => self.distinct_from(l, r),
            E::IsNotDistinctFrom(l, r) => self.distinct_from(l, r).map(negate),
            E::In { expr, target, negated, global: false } => self.in_target(expr, target, *negated),
            E::Between { expr, negated, low, high } => self.between(expr, low, high, *negated),
            E::AnyOp { left, compare_op, right, .. } => self.any_all(left, compare_op, right, true),
            E::AllOp { left, compare_op, right } => self.any_all(left, compare_op, right, false),
            E::Exists { subquery, negated } => self.exists(subquery, *negated),
            E::Subquery(query) => self.scalar_subquery(query),
            E::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            E::Function(function) => self.function_call(function),
            E::Collate { expr, collation } => self.collate(expr, collation),
            E::Like { .. }
            | E::ILike { .. }
            | E::SimilarTo { .. }
            | E::AtTimeZone { .. }
            | E::Extract { .. }
            | E::Ceil { .. }
            | E::Floor { .. }
            | E::Position { .. }
            | E::Substring { .. }
            | E::Trim { .. }
            | E::Overlay { .. } => self.special_syntax(e),
            E::Tuple(parts) => {
                let args = parts.iter().map(|p| self.expr(p)).collect::<Result<_>>()?;
                self.call(Callee::Function("row"), args, e.span())
            }
            E::Array(_) => Err(self.unsupported_at("arrays are not supported", e)),
            E::CompoundFieldAccess { root, access_chain }
                if field_of_relation(root, access_chain).is_some() =>
            {
                let parts = field_of_relation(root, access_chain).unwrap_or_default();
                self.qualified_column(&parts)
            }
            E::CompoundFieldAccess { .. } => {
                Err(self.unsupported_at("subscripts and fields are not supported", e))
            }
            E::Wildcard(_) | E::QualifiedWildcard(..) => {
                Err(self.error_at(e.span(), SqlState::SYNTAX_ERROR, "syntax error at or near \"*\""))
            }
            other => Err(self.unsupported_at(&format!("expression {other} is not supported"), e)),
        }
    }

    fn unsupported_at(&self, what: &str, e: &E) -> Error {
        self.locate(Error::unsupported(what), e.span())
    }

    fn identifier(&mut self, ident: &ast::Ident) -> Result<Expr> {
        if let Some(column) = self.try_column(ident)? {
            return Ok(column);
        }
        let name = spg_sql::fold(ident);
        if name == "current_schema" && ident.quote_style.is_none() {
            return self.call(Callee::Function("current_schema"), vec![], ident.span);
        }
        if self.levels.iter().any(|l| l.namespace.relations.iter().any(|r| r.name == name)) {
            let (_, relation) = self.relation(&[name], ident.span)?;
            return self.whole_row(&relation, ident.span);
        }
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default") {
            return Err(self.error_at(
                ident.span,
                SqlState::SYNTAX_ERROR,
                "DEFAULT is not allowed in this context",
            ));
        }
        self.column(ident)
    }

    /// A row of a FROM entry as one value; NULL where an outer join found none.
    pub(super) fn whole_row(&mut self, relation: &super::scope::Relation, span: Span) -> Result<Expr> {
        let at =
            self.levels.iter().rposition(|l| l.namespace.relations.iter().any(|r| r.name == relation.name));
        for c in &relation.columns {
            if let Some(level) = at.and_then(|at| self.levels.get_mut(at))
                && !level.in_aggregate
            {
                level.reads.push((c.id, span));
            }
        }
        let columns: Vec<Expr> = relation.columns.iter().map(super::scope::ScopeColumn::expr).collect();
        // A column that is never NULL in its table tells; without one, a row of nothing but NULLs counts as none.
        let declared = |c: &&super::scope::ScopeColumn| {
            c.origin.as_ref().is_some_and(|(t, at)| t.columns.get(*at).is_some_and(|d| d.not_null))
        };
        let telling: Vec<Expr> = match relation.columns.iter().find(declared) {
            Some(c) => vec![c.expr()],
            None => columns.clone(),
        };
        let row = self.call(Callee::Function("row"), columns, span)?;
        if telling.is_empty() || !relation.nullable {
            return Ok(row);
        }
        let missing = Expr::And(telling.into_iter().map(|c| Expr::IsNull(Box::new(c))).collect());
        let ty = row.ty();
        Ok(Expr::Case { branches: vec![(missing, Expr::null(ty))], otherwise: Some(Box::new(row)), ty })
    }

    /// `type 'literal'`.
    fn typed_string(&mut self, typed: &ast::TypedString) -> Result<Expr> {
        let span = typed.value.span;
        let ty = sql_type(&typed.data_type).map_err(|e| self.locate(e, span))?;
        let literal = self.value(&typed.value.value, span)?;
        self.explicit_cast(literal, ty, span)
    }

    fn cast(&mut self, expr: &E, data_type: &ast::DataType, double_colon: bool) -> Result<Expr> {
        let span = expr.span();
        let ty = sql_type(data_type).map_err(|e| self.locate_type(e, data_type, span))?;
        let input = self.expr(expr)?;
        let from = input.ty();
        match self.coerce(input, ty, spg_expr::CastContext::Explicit)? {
            Some(e) => Ok(e),
            None => {
                let message = format!("cannot cast type {} to {}", from.def.sql_name, ty.def.sql_name);
                let error = Error::new(SqlState::CANNOT_COERCE, message);
                Err(match double_colon {
                    true => self.locate_behind(error, "::", span),
                    false => self.locate(error, span),
                })
            }
        }
    }

    /// An error about a type's name that is written behind a part of the tree.
    pub(super) fn locate_type(&self, error: Error, data_type: &ast::DataType, span: Span) -> Error {
        let written = data_type.to_string().to_ascii_lowercase();
        let name = written.split(['(', ' ']).next().unwrap_or_default();
        let found = self.statement.is_some_and(|s| {
            let text = s.source();
            spg_sql::offset(text, span.end)
                .and_then(|at| text.get(at..))
                .is_some_and(|rest| rest.to_ascii_lowercase().contains(name))
        });
        if found && !name.is_empty() {
            self.locate_behind(error, name, span)
        } else {
            self.locate(error, span)
        }
    }

    fn collate(&mut self, expr: &E, collation: &ast::ObjectName) -> Result<Expr> {
        let input = self.expr(expr)?;
        let name = spg_sql::folded_name(collation).pop().unwrap_or_default();
        if ["C", "c", "POSIX", "default", "ucs_basic"].contains(&name.as_str()) {
            return Ok(input);
        }
        let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
        Err(self.error_at(collation.span(), SqlState::UNDEFINED_OBJECT, message))
    }

    fn binary(&mut self, e: &E, left: &E, op: &BinaryOperator, right: &E) -> Result<Expr> {
        match op {
            BinaryOperator::And | BinaryOperator::Or => {
                let (parts, name) = chain(e, op);
                let parts = parts
                    .into_iter()
                    .map(|p| {
                        let bound = self.expr(p)?;
                        self.condition(bound, name, p.span())
                    })
                    .collect::<Result<Vec<_>>>()?;
                return Ok(if *op == BinaryOperator::And { Expr::And(parts) } else { Expr::Or(parts) });
            }
            BinaryOperator::Overlaps => return self.overlaps(left, right, e.span()),
            _ => {}
        }
        if is_comparison(op)
            && let E::BinaryOp { op: inner, .. } = left
            && is_comparison(inner)
        {
            // Comparisons do not associate.
            let error = Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{op}\""));
            return Err(self.locate_operator(error, left, right));
        }
        if as_row(left).is_some() || as_row(right).is_some() {
            return self.row_operator(left, op, right);
        }
        let l = self.expr(left)?;
        let r = self.expr(right)?;
        self.compare(op, l, r, Span::empty()).map_err(|e| self.locate_operator(e, left, right))
    }

    /// PostgreSQL points at the operator, of which the tree keeps no place: it is the first thing behind the left operand.
    fn locate_operator(&self, error: Error, left: &E, right: &E) -> Error {
        if error.position().is_some() {
            return error;
        }
        let Some(statement) = self.statement else { return error };
        let text = statement.source();
        let (Some(from), Some(to)) =
            (spg_sql::offset(text, left.span().end), spg_sql::offset(text, right.span().start))
        else {
            return self.locate(error, left.span());
        };
        let between = text.get(from..to).unwrap_or_default();
        match between.find(|c: char| !c.is_whitespace() && c != ')') {
            Some(at) => error.at(text[..from + at].chars().count() + 1),
            None => self.locate(error, left.span()),
        }
    }

    /// `error` at what comes behind an operand: its operator.
    pub(super) fn locate_after(&self, error: Error, left: &E) -> Error {
        let place = self.statement.and_then(|s| {
            let text = s.source();
            let from = spg_sql::offset(text, left.span().end)?;
            let at = text.get(from..)?.find(|c: char| !c.is_whitespace() && c != ')')?;
            Some(text[..from + at].chars().count() + 1)
        });
        match place {
            Some(position) => error.at(position),
            None => self.locate(error, left.span()),
        }
    }

    /// Any binary operator over bound operands.
    pub(super) fn compare(&mut self, op: &BinaryOperator, l: Expr, r: Expr, span: Span) -> Result<Expr> {
        let (symbol, negated) = symbol(op).ok_or_else(|| {
            self.locate(Error::unsupported(format!("operator {op} is not supported")), span)
        })?;
        let call = self.operator(&symbol, l, r, span)?;
        Ok(if negated { negate(call) } else { call })
    }

    fn unary(&mut self, op: UnaryOperator, operand: &E) -> Result<Expr> {
        let span = operand.span();
        if let Some(signed) = sign_first(op, operand) {
            return self.expr(&signed);
        }
        match op {
            UnaryOperator::Not => {
                let bound = self.expr(operand)?;
                Ok(negate(self.condition(bound, "NOT", span)?))
            }
            UnaryOperator::Minus => {
                if let E::Value(ast::ValueWithSpan { value: ast::Value::Number(text, _), span }) = operand {
                    return self.number(&format!("-{text}")).map_err(|e| self.locate(e, *span));
                }
                let bound = self.expr(operand)?;
                self.call(Callee::Operator("-"), vec![bound], Span::empty())
                    .map_err(|e| self.locate_before(e, "-", span))
            }
            UnaryOperator::Plus => {
                let bound = self.expr(operand)?;
                match bound.ty().def.category {
                    spg_types::Category::Numeric => Ok(bound),
                    _ => self.call(Callee::Operator("+"), vec![bound], span),
                }
            }
            other => {
                let symbol = match other {
                    UnaryOperator::BitwiseNot => "~",
                    UnaryOperator::PGSquareRoot => "|/",
                    UnaryOperator::PGCubeRoot => "||/",
                    UnaryOperator::PGAbs => "@",
                    _ => {
                        return Err(
                            self.unsupported_at(&format!("operator {other} is not supported"), operand)
                        );
                    }
                };
                let bound = self.expr(operand)?;
                self.call(Callee::Operator(symbol), vec![bound], span)
            }
        }
    }

    /// `error` at the last `symbol` before a part of the tree.
    pub(super) fn locate_before(&self, error: Error, symbol: &str, span: Span) -> Error {
        let place = self.statement.and_then(|s| {
            let text = s.source();
            let at = text.get(..spg_sql::offset(text, span.start)?)?.rfind(symbol)?;
            Some(text[..at].chars().count() + 1)
        });
        match place {
            Some(position) if error.position().is_none() => error.at(position),
            _ => self.locate(error, span),
        }
    }

    /// `error` at the first `symbol` behind a part of the tree.
    fn locate_behind(&self, error: Error, symbol: &str, span: Span) -> Error {
        let place = self.statement.and_then(|s| {
            let text = s.source();
            let from = spg_sql::offset(text, span.end)?;
            // Lower case has other lengths for few letters only, none of which symbols and type names have.
            let at = from + text.get(from..)?.to_ascii_lowercase().find(symbol)?;
            Some(text.get(..at)?.chars().count() + 1)
        });
        match place {
            Some(position) if error.position().is_none() => error.at(position),
            _ => self.locate(error, span),
        }
    }

    fn is_null(&mut self, x: &E, negated: bool) -> Result<Expr> {
        let parts = match as_row(x) {
            Some(parts) => parts,
            None => vec![x],
        };
        let tests = parts
            .into_iter()
            .map(|p| {
                let test = Expr::IsNull(Box::new(self.typed_expr(p)?));
                Ok(if negated { negate(test) } else { test })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Expr::conjunction(tests))
    }

    /// `IS [NOT] TRUE/FALSE`: NULL counts as `null`, then perhaps the opposite.
    fn truth(&mut self, x: &E, what: &str, null: bool, opposite: bool) -> Result<Expr> {
        let bound = self.expr(x)?;
        let bound = self.condition(bound, what, x.span())?;
        let test = Expr::Coalesce { args: vec![bound, Expr::boolean(null)], ty: SqlType::new(&def::BOOL) };
        Ok(if opposite { negate(test) } else { test })
    }

    fn is_unknown(&mut self, x: &E, what: &str) -> Result<Expr> {
        let bound = self.expr(x)?;
        self.condition(bound, what, x.span())
    }

    fn distinct_from(&mut self, l: &E, r: &E) -> Result<Expr> {
        match (as_row(l), as_row(r)) {
            (Some(ls), Some(rs)) => {
                self.check_row_lengths(ls.len(), rs.len(), l.span())?;
                let parts = ls
                    .into_iter()
                    .zip(rs)
                    .map(|(l, r)| self.distinct_from(l, r))
                    .collect::<Result<Vec<_>>>()?;
                Ok(Expr::Or(parts))
            }
            _ => {
                let bound = (self.expr(l)?, self.expr(r)?);
                self.distinct_values(bound.0, bound.1, l.span())
            }
        }
    }

    /// `l IS DISTINCT FROM r`: the registry's operator of that meaning. NULL on one side makes it a NULL test.
    fn distinct_values(&mut self, l: Expr, r: Expr, span: Span) -> Result<Expr> {
        let is_null = |e: &Expr| matches!(e, Expr::Const { value, .. } if value.is_null());
        if is_null(&r) {
            let l = self.or_text(l)?;
            return Ok(negate(Expr::IsNull(Box::new(l))));
        }
        if is_null(&l) {
            return Ok(negate(Expr::IsNull(Box::new(r))));
        }
        match self.input.registry.function("is distinct from") {
            Some(function) => self.call_of(function, Callee::Operator("="), vec![l, r], span),
            None => Err(self.locate(Error::unsupported("IS DISTINCT FROM is not supported"), span)),
        }
    }

    fn between(&mut self, x: &E, low: &E, high: &E, negated: bool) -> Result<Expr> {
        if as_row(x).is_some() {
            let above = self.row_operator(x, &BinaryOperator::GtEq, low)?;
            let inside = Expr::And(vec![above, self.row_operator(x, &BinaryOperator::LtEq, high)?]);
            return Ok(if negated { negate(inside) } else { inside });
        }
        let value = self.expr(x)?;
        let (low, symmetric) = match low {
            E::Prefixed { prefix, value } if prefix.value.eq_ignore_ascii_case("symmetric") => {
                (&**value, true)
            }
            low => (low, false),
        };
        let low_bound = self.expr(low)?;
        let high_bound = self.expr(high)?;
        let mut inside = self
            .inside(value.clone(), low_bound.clone(), high_bound.clone())
            .map_err(|e| self.locate_operator(e, x, low))?;
        if symmetric {
            let swapped =
                self.inside(value, high_bound, low_bound).map_err(|e| self.locate_operator(e, x, high))?;
            inside = Expr::Or(vec![inside, swapped]);
        }
        Ok(if negated { negate(inside) } else { inside })
    }

    fn inside(&mut self, value: Expr, low: Expr, high: Expr) -> Result<Expr> {
        let above = self.operator(">=", value.clone(), low, Span::empty())?;
        let below = self.operator("<=", value, high, Span::empty())?;
        Ok(Expr::And(vec![above, below]))
    }

    fn in_target(&mut self, x: &E, target: &ast::InTarget, negated: bool) -> Result<Expr> {
        let found = match target {
            ast::InTarget::Subquery(query) => self.any_subquery(x, &BinaryOperator::Eq, query)?,
            ast::InTarget::List(items) => return self.in_list(x, items, negated),
            other => return Err(self.unsupported_at(&format!("IN {other} is not supported"), x)),
        };
        Ok(if negated { negate(found) } else { found })
    }

    fn in_list(&mut self, x: &E, items: &[E], negated: bool) -> Result<Expr> {
        // `IN ((SELECT ...))` is `= ANY`, as PostgreSQL reads it, only without further items.
        if as_row(x).is_some() || items.iter().any(|i| as_row(i).is_some()) {
            let tests = items
                .iter()
                .map(|i| self.row_operator(x, &BinaryOperator::Eq, i))
                .collect::<Result<Vec<_>>>()?;
            let found = Expr::Or(tests);
            return Ok(if negated { negate(found) } else { found });
        }
        let input = self.expr(x)?;
        let list = items.iter().map(|i| self.expr(i)).collect::<Result<Vec<_>>>()?;
        self.in_values(input, list, negated, Span::empty()).map_err(|e| self.locate_operator(e, x, &items[0]))
    }

    /// `input IN (list)` over bound values.
    fn in_values(&mut self, input: Expr, list: Vec<Expr>, negated: bool, span: Span) -> Result<Expr> {
        let types: Vec<SqlType> = std::iter::once(&input).chain(&list).map(Expr::ty).collect();
        if list.len() > 1 && self.common_def(&types).is_ok() {
            let all = std::iter::once(input).chain(list).collect();
            let (mut all, _) = self.unify_compared(all, "IN")?;
            let input = Box::new(all.remove(0));
            return Ok(Expr::InList { input, list: all, negated });
        }
        let tests = list
            .into_iter()
            .map(|item| self.operator("=", input.clone(), item, span))
            .collect::<Result<Vec<_>>>()?;
        let found = if tests.len() == 1 { Expr::conjunction(tests) } else { Expr::Or(tests) };
        Ok(if negated { negate(found) } else { found })
    }

    /// `x op ANY (...)`, `x op ALL (...)`: over a subquery or an array.
    fn any_all(&mut self, x: &E, op: &BinaryOperator, right: &E, any: bool) -> Result<Expr> {
        if let E::Subquery(query) = strip(right) {
            return if any { self.any_subquery(x, op, query) } else { self.all_subquery(x, op, query) };
        }
        if matches!(strip(right), E::Value(v) if matches!(v.value, ast::Value::Number(..) | ast::Value::Boolean(_)))
        {
            let error =
                Error::new(SqlState::WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires array on right side");
            return Err(self.locate_operator(error, x, right));
        }
        let Some(items) = self.array_items(strip(right))? else {
            return Err(self
                .unsupported_at("ANY and ALL over arrays that are not constants are not supported", right));
        };
        let input = self.expr(x)?;
        if items.is_empty() {
            return Ok(Expr::boolean(!any));
        }
        match (op, any) {
            (BinaryOperator::Eq, true) => self.in_values(input, items, false, x.span()),
            (BinaryOperator::NotEq, false) => self.in_values(input, items, true, x.span()),
            _ => {
                let tests = items
                    .into_iter()
                    .map(|item| self.compare(op, input.clone(), item, x.span()))
                    .collect::<Result<Vec<_>>>()?;
                Ok(if any { Expr::Or(tests) } else { Expr::And(tests) })
            }
        }
    }

    /// The elements of `ARRAY[...]`, `'{...}'` and casts of them to an array type.
    pub(super) fn array_items(&mut self, e: &E) -> Result<Option<Vec<Expr>>> {
        match e {
            E::Array(array) => array.elem.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>>>().map(Some),
            E::Value(v) => match &v.value {
                ast::Value::SingleQuotedString(text) => Ok(array_text(text)),
                _ => Ok(None),
            },
            E::Cast { expr, data_type: ast::DataType::Array(of), .. } => {
                let (ast::ArrayElemTypeDef::SquareBracket(element, _)
                | ast::ArrayElemTypeDef::Qualified(element, _)) = of
                else {
                    return Ok(None);
                };
                let ty = sql_type(element)?;
                let Some(items) = self.array_items(strip(expr))? else { return Ok(None) };
                items
                    .into_iter()
                    .map(|i| self.explicit_cast(i, ty, e.span()))
                    .collect::<Result<Vec<_>>>()
                    .map(Some)
            }
            _ => Ok(None),
        }
    }

    fn case(
        &mut self,
        operand: Option<&E>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&E>,
    ) -> Result<Expr> {
        let operand = operand.map(|o| self.typed_expr(o).map(|b| (b, o))).transpose()?;
        let mut tests = vec![];
        let mut results = vec![];
        for when in conditions {
            let test = self.expr(&when.condition)?;
            tests.push(match &operand {
                Some((value, written)) => self
                    .operator("=", value.clone(), test, Span::empty())
                    .map_err(|e| self.locate(e, written.span()))?,
                None => self.condition(test, "CASE/WHEN", when.condition.span())?,
            });
            results.push(self.expr(&when.result)?);
        }
        // PostgreSQL looks at ELSE first.
        let mut all = vec![];
        let has_else = otherwise.is_some();
        if let Some(e) = otherwise {
            all.push(self.expr(e)?);
        }
        all.extend(results);
        let span = conditions.first().map_or(Span::empty(), |c| c.result.span());
        let (mut all, ty) = self.unify(all, "CASE").map_err(|e| self.locate(e, span))?;
        let otherwise = has_else.then(|| Box::new(all.remove(0)));
        Ok(Expr::Case { branches: tests.into_iter().zip(all).collect(), otherwise, ty })
    }

    /// An operator over rows: `(a, b) < (c, d)`, and rows against one-row subqueries.
    fn row_operator(&mut self, left: &E, op: &BinaryOperator, right: &E) -> Result<Expr> {
        let l = self.row_values(left)?;
        let r = self.row_values(right)?;
        let is_row = |e: &E| as_row(e).is_some() || matches!(strip(e), E::Subquery(_));
        if !is_row(left) || !is_row(right) {
            let side = |e: &E, v: &[Expr]| match v {
                [one] if !is_row(e) => one.ty().def.sql_name,
                _ => "record",
            };
            let message = format!("operator does not exist: {} {op} {}", side(left, &l), side(right, &r));
            let error = Error::new(SqlState::UNDEFINED_FUNCTION, message).with_hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            );
            return Err(self.locate_operator(error, left, right));
        }
        if l.len() != r.len() {
            let error = Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions");
            return Err(self.locate_operator(error, left, right));
        }
        self.compare_rows(op, l, r, left.span())
    }

    fn row_values(&mut self, e: &E) -> Result<Vec<Expr>> {
        match (as_row(e), strip(e)) {
            (Some(parts), _) => parts.into_iter().map(|p| self.expr(p)).collect(),
            (None, E::Subquery(query)) => self.single_row(query),
            (None, other) => Ok(vec![self.expr(other)?]),
        }
    }

    fn check_row_lengths(&self, left: usize, right: usize, span: Span) -> Result<()> {
        if left == right {
            return Ok(());
        }
        Err(self.error_at(span, SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions"))
    }

    /// Compares rows column by column, the first difference deciding.
    pub(super) fn compare_rows(
        &mut self,
        op: &BinaryOperator,
        l: Vec<Expr>,
        r: Vec<Expr>,
        span: Span,
    ) -> Result<Expr> {
        if let ([_], [_]) = (&l[..], &r[..]) {
            let pair = l.into_iter().zip(r).next();
            return match pair {
                Some((l, r)) => self.compare(op, l, r, span),
                None => Err(Error::internal("an empty row")),
            };
        }
        let pairs = || l.iter().cloned().zip(r.iter().cloned());
        match op {
            BinaryOperator::Eq => {
                Ok(Expr::And(pairs().map(|(l, r)| self.compare(op, l, r, span)).collect::<Result<_>>()?))
            }
            BinaryOperator::NotEq => {
                Ok(Expr::Or(pairs().map(|(l, r)| self.compare(op, l, r, span)).collect::<Result<_>>()?))
            }
            BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq => {
                let strict = match op {
                    BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
                    _ => BinaryOperator::Gt,
                };
                let mut result: Option<Expr> = None;
                for (l, r) in pairs().rev_vec() {
                    result = Some(match result {
                        None => self.compare(op, l, r, span)?,
                        Some(rest) => {
                            let decided = self.compare(&strict, l.clone(), r.clone(), span)?;
                            let equal = self.compare(&BinaryOperator::Eq, l, r, span)?;
                            Expr::Or(vec![decided, Expr::And(vec![equal, rest])])
                        }
                    });
                }
                result.ok_or_else(|| Error::internal("an empty row"))
            }
            other => {
                let message =
                    format!("could not determine interpretation of row comparison operator {other}");
                Err(self.error_at(span, SqlState::FEATURE_NOT_SUPPORTED, message))
            }
        }
    }

    fn overlaps(&mut self, left: &E, right: &E, span: Span) -> Result<Expr> {
        let (l, r) = (as_row(left).unwrap_or_default(), as_row(right).unwrap_or_default());
        let ([a, b], [c, d]) = (&l[..], &r[..]) else {
            let side = if l.len() == 2 { "right" } else { "left" };
            let message = format!("wrong number of parameters on {side} side of OVERLAPS expression");
            return Err(self.error_at(span, SqlState::SYNTAX_ERROR, message));
        };
        let args = [a, b, c, d].into_iter().map(|e| self.expr(e)).collect::<Result<Vec<_>>>()?;
        self.call(Callee::Function("overlaps"), args, span)
    }

    /// NULLIF: the first argument, unless it equals the second.
    pub(super) fn nullif(&mut self, a: Expr, b: Expr, span: Span) -> Result<Expr> {
        let value = a.clone();
        let equal = self.operator("=", a, b, span)?;
        let value = match (&equal, is_unknown(&value)) {
            (Expr::Call { args, .. }, true) => args[0].clone(),
            _ => value,
        };
        let ty = value.ty();
        Ok(Expr::Case { branches: vec![(equal, Expr::null(ty))], otherwise: Some(Box::new(value)), ty })
    }
}

trait ReversedPairs: Iterator + Sized {
    /// The items from the last to the first.
    fn rev_vec(self) -> std::iter::Rev<std::vec::IntoIter<Self::Item>> {
        self.collect::<Vec<_>>().into_iter().rev()
    }
}
impl<I: Iterator> ReversedPairs for I {}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq)
}

/// The negation.
pub(super) fn negate(e: Expr) -> Expr {
    match e {
        Expr::InList { input, list, negated } => Expr::InList { input, list, negated: !negated },
        e => Expr::Not(Box::new(e)),
    }
}

/// The parts of a row value: `(a, b)`, `ROW(a, b)`.
pub(super) fn as_row(e: &E) -> Option<Vec<&E>> {
    match e {
        E::Tuple(parts) => Some(parts.iter().collect()),
        E::Nested(inner) => as_row(inner),
        E::Function(f) if !matches!(f.args, ast::FunctionArguments::None) && is_row_name(&f.name) => {
            let ast::FunctionArguments::List(list) = &f.args else { return None };
            list.args
                .iter()
                .map(|a| match a {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e),
                    _ => None,
                })
                .collect()
        }
        _ => None,
    }
}

fn is_row_name(name: &ast::ObjectName) -> bool {
    matches!(&name.0[..], [ast::ObjectNamePart::Identifier(i)] if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("row"))
}

/// The operands of a chain of ANDs or ORs, and the operator's name.
pub(super) fn chain<'e>(e: &'e E, op: &BinaryOperator) -> (Vec<&'e E>, &'static str) {
    let mut parts = vec![];
    let mut rest = e;
    while let E::BinaryOp { left, op: o, right } = rest
        && o == op
    {
        parts.push(&**right);
        rest = left;
    }
    parts.push(rest);
    parts.reverse();
    (parts, if *op == BinaryOperator::And { "AND" } else { "OR" })
}

/// `(relation).column` as a qualified name.
fn field_of_relation(root: &E, chain: &[ast::AccessExpr]) -> Option<Vec<ast::Ident>> {
    let (E::Identifier(relation), [ast::AccessExpr::Dot(E::Identifier(column))]) = (strip(root), chain)
    else {
        return None;
    };
    Some(vec![relation.clone(), column.clone()])
}

/// A sign binds more tightly than `^`, `AT TIME ZONE` and `COLLATE`, other than the parser has it: `-2 ^ 2` is `(-2) ^ 2`.
fn sign_first(op: UnaryOperator, operand: &E) -> Option<E> {
    if !matches!(op, UnaryOperator::Minus | UnaryOperator::Plus) {
        return None;
    }
    let signed = |e: &E| {
        let plain = || E::UnaryOp { op, expr: Box::new(e.clone()) };
        Box::new(sign_first(op, e).unwrap_or_else(plain))
    };
    match operand {
        E::BinaryOp { left, op: BinaryOperator::PGExp, right } => {
            Some(E::BinaryOp { left: signed(left), op: BinaryOperator::PGExp, right: right.clone() })
        }
        E::AtTimeZone { timestamp, time_zone } => {
            Some(E::AtTimeZone { timestamp: signed(timestamp), time_zone: time_zone.clone() })
        }
        E::Collate { expr, collation } => {
            Some(E::Collate { expr: signed(expr), collation: collation.clone() })
        }
        _ => None,
    }
}

/// The operator's symbol in the registry, and whether its result is negated.
fn symbol(op: &BinaryOperator) -> Option<(String, bool)> {
    use BinaryOperator as B;
    let plain = |s: &str| Some((s.to_string(), false));
    match op {
        B::Plus => plain("+"),
        B::Minus => plain("-"),
        B::Multiply => plain("*"),
        B::Divide => plain("/"),
        B::Modulo => plain("%"),
        B::StringConcat => plain("||"),
        B::Gt => plain(">"),
        B::Lt => plain("<"),
        B::GtEq => plain(">="),
        B::LtEq => plain("<="),
        B::Eq => plain("="),
        B::NotEq => plain("<>"),
        B::BitwiseOr => plain("|"),
        B::BitwiseAnd => plain("&"),
        B::BitwiseXor | B::PGBitwiseXor => plain("#"),
        B::PGBitwiseShiftLeft => plain("<<"),
        B::PGBitwiseShiftRight => plain(">>"),
        B::PGExp => plain("^"),
        B::PGRegexMatch => plain("~"),
        B::PGRegexIMatch => plain("~*"),
        B::PGRegexNotMatch => Some(("~".into(), true)),
        B::PGRegexNotIMatch => Some(("~*".into(), true)),
        B::PGLikeMatch => plain("~~"),
        B::PGILikeMatch => plain("~~*"),
        B::PGNotLikeMatch => Some(("~~".into(), true)),
        B::PGNotILikeMatch => Some(("~~*".into(), true)),
        B::PGCustomBinaryOperator(parts) => parts.last().map(|s| (s.clone(), false)),
        B::And | B::Or | B::Xor | B::Assignment => None,
        other => Some((other.to_string(), false)),
    }
}

/// The elements of an array literal without quotes and nesting; `None` for anything else.
fn array_text(text: &str) -> Option<Vec<Expr>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(vec![]);
    }
    if inner.contains(['{', '"', '\\']) {
        return None;
    }
    let item = |s: &str| match s.trim() {
        null if null.eq_ignore_ascii_case("null") => Expr::null(SqlType::new(&def::UNKNOWN)),
        s => super::literal::unknown(s),
    };
    Some(inner.split(',').map(item).collect())
}
