//! LIMIT, OFFSET, FETCH FIRST ... WITH TIES.

use spg_expr::Expr;
use spg_plan::{Plan, SortKey};
use spg_types::{Result, SqlType};

use super::{Flow, Lowering, Need};
use crate::key::words::Shape;
use crate::op::limit::Limit;
use crate::scalar::Scalar;

impl Lowering {
    pub(super) fn lower_limit(
        &mut self,
        plan: &Plan,
        input: &Plan,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        ties: Option<&[SortKey]>,
        need: &Need,
    ) -> Result<Flow> {
        let mut need = need.clone();
        need.extend(ties.into_iter().flatten().map(|k| k.column));
        let mut flow = self.lower(input, &need)?;
        let stage = Limit {
            limit: limit.map(Scalar::constant).transpose()?,
            offset: offset.map(Scalar::constant).transpose()?,
            ties: match ties {
                Some(keys) => {
                    let at =
                        keys.iter().map(|k| flow.layout.position(k.column)).collect::<Result<Vec<_>>>()?;
                    let types: Vec<SqlType> = keys.iter().map(|k| k.ty).collect();
                    Some((at, Shape::new(&types)))
                }
                None => None,
            },
        };
        // Without a filter below, the first rows come quickly: take them in order.
        if stage.ties.is_some() || flow.chains.iter().all(|c| c.full) {
            flow.sequential();
        }
        self.stage(&mut flow, self.node(plan), stage, &[]);
        Ok(flow)
    }
}
