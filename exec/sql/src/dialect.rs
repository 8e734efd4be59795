//! What sqlparser asks about the language: PostgreSQL's answers.

use std::any::TypeId;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// SPG's SQL: PostgreSQL's, as a server reads it.
#[derive(Debug)]
pub(crate) struct SpgDialect;

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

macro_rules! as_postgres {
    ($($name:ident),* $(,)?) => {
        $(fn $name(&self) -> bool {
            POSTGRES.$name()
        })*
    };
}

impl Dialect for SpgDialect {
    /// The parser's own branches for PostgreSQL apply.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRES.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        POSTGRES.is_custom_operator_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        POSTGRES.is_reserved_for_identifier(kw)
    }

    fn is_table_alias(&self, kw: &Keyword, parser: &mut Parser) -> bool {
        POSTGRES.is_table_alias(kw, parser)
    }

    fn supports_string_literal_column_alias(&self, _explicit: bool) -> bool {
        false
    }

    fn supports_string_literal_table_alias(&self, _explicit: bool) -> bool {
        false
    }

    fn supports_string_literal_concatenation_with_newline(&self) -> bool {
        true
    }

    /// `BETWEEN SYMMETRIC`: the lower bound comes under a prefix of that name. `x ISNULL`.
    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        let between = |p: &mut Parser, negated: bool| {
            p.expect_keyword_is(Keyword::BETWEEN)?;
            let prefix = p.parse_identifier()?;
            let low = p.parse_subexpr(self.between_low_bound_precedence())?;
            p.expect_keyword_is(Keyword::AND)?;
            let high = p.parse_subexpr(self.prec_value(Precedence::Between))?;
            Ok(Expr::Between {
                expr: Box::new(expr.clone()),
                negated,
                low: Box::new(Expr::Prefixed { prefix, value: Box::new(low) }),
                high: Box::new(high),
            })
        };
        let is = |p: &Parser, n: usize, word: &str| matches!(p.peek_nth_token_ref(n).token, Token::Word(ref w) if w.value.eq_ignore_ascii_case(word));
        // The operator's first token is still to be read.
        if is(parser, 0, "between") && is(parser, 1, "symmetric") {
            return Some(between(parser, false));
        }
        if is(parser, 0, "isnull") {
            parser.next_token();
            return Some(Ok(Expr::IsNull(Box::new(expr.clone()))));
        }
        if is(parser, 0, "not") && is(parser, 1, "between") && is(parser, 2, "symmetric") {
            parser.next_token();
            return Some(between(parser, true));
        }
        None
    }

    fn is_custom_type_typed_string(&self, first_keyword: Keyword, qualified: bool) -> bool {
        POSTGRES.is_custom_type_typed_string(first_keyword, qualified)
    }

    fn is_interval_qualifier(&self, kw: Keyword) -> bool {
        POSTGRES.is_interval_qualifier(kw)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        if let Token::Word(w) = &parser.peek_token_ref().token
            && w.quote_style.is_none()
            && w.value.eq_ignore_ascii_case("isnull")
        {
            return Some(Ok(self.prec_value(Precedence::Is)));
        }
        POSTGRES.get_next_precedence(parser)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        POSTGRES.prec_value(prec)
    }

    fn between_low_bound_precedence(&self) -> u8 {
        POSTGRES.between_low_bound_precedence()
    }

    as_postgres! {
        supports_cte_materialization, supports_unicode_string_literal, supports_filter_during_aggregation,
        supports_group_by_expr, supports_drop_group, supports_alter_user_as_alter_role, supports_create_group,
        supports_create_role_if_not_exists, allow_extract_custom, allow_extract_single_quotes,
        supports_create_index_with_clause, supports_sql_option_without_value, supports_explain_with_utility_options,
        supports_listen_notify, supports_exclude_constraint, supports_factorial_operator,
        supports_bitwise_shift_operators, supports_tilde_like_match_operator,
        supports_comparison_in_between_low_bound, supports_comment_on, supports_load_extension,
        supports_named_fn_args_with_colon_operator, supports_named_fn_args_with_expr_name,
        supports_named_fn_args_with_assignment_operator, supports_empty_projections, supports_nested_comments,
        supports_string_escape_constant, supports_array_typedef_with_brackets, supports_geometric_types,
        supports_order_by_using_operator, supports_set_names, supports_alter_column_type_using,
        supports_left_associative_joins_without_parens, supports_notnull_operator, supports_interval_options,
        supports_insert_table_alias, supports_create_table_like_parenthesized, supports_comma_separated_trim,
        supports_xml_expressions, supports_aliased_function_args, supports_add_column_if_not_exists,
        supports_attach_partition_of, supports_detach_partition_of, supports_table_inheritance_markers,
        supports_column_generic_options,
    }
}
