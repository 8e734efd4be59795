//! Marks that only decide whether a row stays: semi and anti joins.

use std::collections::HashMap;

use spg_expr::{ColId, Expr};

use crate::props::props;
use crate::rules::logic::{as_column, nullable};
use crate::tree::{ColSet, uses, visit_mut};
use crate::{Join, JoinKind, Plan};

/// Rewrites `Filter [mark]` and `Filter [NOT mark]` whose mark nothing else reads.
pub(super) fn to_semi(plan: &mut Plan, output: &ColSet) {
    let uses = uses(plan, output);
    visit_mut(plan, &mut |p| {
        if let Plan::Filter { input, predicate } = p {
            predicate.retain(|e| !absorb(e, input, &uses));
            if predicate.is_empty() {
                *p = crate::tree::take(input);
            }
        }
    });
}

/// Makes the mark join that decides the conjunct a semi or anti join; whether it did.
fn absorb(e: &Expr, input: &mut Plan, uses: &HashMap<ColId, usize>) -> bool {
    let (id, wanted) = match e {
        Expr::Column { id, .. } => (*id, true),
        Expr::Not(e) => match as_column(e) {
            Some(id) => (id, false),
            None => return false,
        },
        _ => return false,
    };
    uses.get(&id) == Some(&1) && rewrite(input, id, wanted)
}

fn rewrite(plan: &mut Plan, id: ColId, wanted: bool) -> bool {
    match plan {
        Plan::Apply { kind, left, right, on } | Plan::Join(Join { kind, left, right, on, .. }) => {
            if *kind != JoinKind::Mark(id) {
                // The mark may come from further left, where this join keeps or repeats rows as they are.
                let keeps = matches!(
                    kind,
                    JoinKind::Inner
                        | JoinKind::Left
                        | JoinKind::Semi
                        | JoinKind::Anti
                        | JoinKind::Mark(_)
                        | JoinKind::Single
                );
                return keeps && rewrite(left, id, wanted);
            }
            let certain = || {
                let both = &props(left).not_null | &props(right).not_null;
                !on.iter().any(|e| nullable(e, &both))
            };
            if !wanted && !certain() {
                return false;
            }
            *kind = if wanted { JoinKind::Semi } else { JoinKind::Anti };
            true
        }
        Plan::Filter { input, .. } => rewrite(input, id, wanted),
        _ => false,
    }
}
