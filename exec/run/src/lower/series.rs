//! Table functions.

use spg_expr::Expr;
use spg_plan::{OutCol, Plan};
use spg_types::{Error, Result};

use super::{Flow, Lowering, Need, with_columns};
use crate::op::series::{SeriesSource, SeriesSpec, SeriesStage};
use crate::scalar::{Layout, scalars};

fn spec(
    name: &str,
    args: &[Expr],
    columns: &[OutCol],
    ordinality: Option<&OutCol>,
    layout: &Layout,
) -> Result<SeriesSpec> {
    match (name, columns) {
        ("generate_series", [value]) => {
            Ok(SeriesSpec { args: scalars(args, layout)?, ty: value.ty, ordinality: ordinality.is_some() })
        }
        _ => Err(Error::unsupported(format!("table function {name} is not supported"))),
    }
}

impl Lowering {
    pub(super) fn lower_table_function(
        &mut self,
        plan: &Plan,
        name: &str,
        args: &[Expr],
        columns: &[OutCol],
        ordinality: Option<&OutCol>,
    ) -> Result<Flow> {
        let spec = spec(name, args, columns, ordinality, &Layout::default())?;
        let layout = Layout::new(columns.iter().chain(ordinality).map(|c| (c.id, c.ty)).collect());
        Ok(self.begin(self.node(plan), SeriesSource(spec), vec![], layout))
    }

    pub(super) fn lower_project_set(
        &mut self,
        plan: &Plan,
        input: &Plan,
        (name, args): (&str, &[Expr]),
        columns: &[OutCol],
        ordinality: Option<&OutCol>,
        need: &Need,
    ) -> Result<Flow> {
        let mut flow = self.lower(input, &with_columns(need, args))?;
        let spec = spec(name, args, columns, ordinality, &flow.layout)?;
        self.stage(&mut flow, self.node(plan), SeriesStage(spec), &[]);
        columns.iter().chain(ordinality).for_each(|c| flow.layout.push(c.id, c.ty));
        Ok(flow)
    }
}
