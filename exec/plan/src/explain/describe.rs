//! What EXPLAIN says of each operator: its name, its properties, its inputs.

use super::NodeStats;
use super::sql::Names;
use crate::rules::logic::split_equality;
use crate::stats::Estimate;
use crate::tree::output;
use crate::{AggregateCall, IndexAccess, Join, JoinKind, ModifyKind, Plan, Scan, SetOpKind, WindowCallee};

/// One operator.
pub(super) struct Node {
    /// Pre-order number.
    pub(super) number: usize,
    /// `Hash Join`, `Seq Scan on t`.
    pub(super) title: String,
    /// A line above it: `CTE x`.
    pub(super) label: Option<String>,
    /// `Filter`, `Hash Cond`, in order.
    pub(super) properties: Vec<(&'static str, String)>,
    pub(super) estimate: Option<Estimate>,
    pub(super) actual: Option<NodeStats>,
    pub(super) inputs: Vec<Node>,
}

impl Node {
    pub(super) fn estimate(&mut self, list: &[Estimate]) {
        self.estimate = list.get(self.number).copied();
        self.inputs.iter_mut().for_each(|n| n.estimate(list));
    }

    pub(super) fn measured(&mut self, list: &[NodeStats]) {
        self.actual = Some(list.get(self.number).copied().unwrap_or_default());
        self.inputs.iter_mut().for_each(|n| n.measured(list));
    }
}

pub(super) struct Describer<'a> {
    pub(super) names: &'a Names,
    pub(super) verbose: bool,
    pub(super) number: usize,
}

impl Describer<'_> {
    pub(super) fn node(&mut self, plan: &Plan) -> Node {
        let number = self.number;
        self.number += 1;
        let (title, mut properties) = self.describe(plan);
        if self.verbose {
            properties.insert(0, ("Output", self.names.outs(&plan.columns())));
        }
        let mut inputs: Vec<Node> = plan.inputs().into_iter().map(|p| self.node(p)).collect();
        if let (Plan::With { name, .. }, Some(definition)) = (plan, inputs.first_mut()) {
            definition.label = Some(format!("CTE {name}"));
        }
        Node { number, title, label: None, properties, estimate: None, actual: None, inputs }
    }

    fn describe(&self, plan: &Plan) -> (String, Vec<(&'static str, String)>) {
        let n = self.names;
        match plan {
            Plan::Scan(s) => self.scan(s),
            Plan::Values { columns, rows } => match (columns.is_empty(), rows.len()) {
                (true, 1) => ("Result".into(), vec![]),
                (_, 0) => ("Result".into(), vec![("One-Time Filter", "false".into())]),
                _ => ("Values Scan".into(), vec![]),
            },
            Plan::SystemScan { relation, .. } => (format!("System Scan on {}", relation.name), vec![]),
            Plan::TableFunction { name, args, .. } => (
                format!("Function Scan on {name}"),
                vec![("Function Call", format!("{name}({})", n.list(args)))],
            ),
            Plan::ProjectSet { name, args, .. } => {
                ("ProjectSet".into(), vec![("Function Call", format!("{name}({})", n.list(args)))])
            }
            Plan::Filter { predicate, .. } => ("Filter".into(), vec![("Filter", n.conjuncts(predicate))]),
            Plan::Project { exprs, .. } => {
                let computed: Vec<String> = exprs
                    .iter()
                    .filter(|e| !crate::tree::passes(e))
                    .map(|e| format!("{} AS {}", n.sql(&e.expr), n.column(e.out.id)))
                    .collect();
                let columns =
                    exprs.iter().filter(|e| crate::tree::passes(e)).map(|e| e.out.id).collect::<Vec<_>>();
                let mut properties = vec![];
                if !columns.is_empty() {
                    properties.push(("Columns", n.columns(&columns)));
                }
                if !computed.is_empty() {
                    properties.push(("Computes", computed.join(", ")));
                }
                ("Project".into(), properties)
            }
            Plan::Join(j) => self.join(j),
            Plan::Apply { kind, on, .. } => {
                let properties = if on.is_empty() { vec![] } else { vec![("Join Filter", n.conjuncts(on))] };
                (format!("Apply {}", kind_name(*kind, "Inner")), properties)
            }
            Plan::Aggregate { groups, sets, aggregates, .. } => {
                let mut properties = vec![];
                let key = |i: &usize| groups.get(*i).map(|g| n.sql(&g.expr)).unwrap_or_default();
                if sets.is_empty() && !groups.is_empty() {
                    properties.push((
                        "Group Key",
                        groups.iter().map(|g| n.sql(&g.expr)).collect::<Vec<_>>().join(", "),
                    ));
                }
                for set in sets {
                    let keys = set.iter().map(key).collect::<Vec<_>>().join(", ");
                    properties.push(("Group Key", if set.is_empty() { "()".into() } else { keys }));
                }
                if !aggregates.is_empty() {
                    let list: Vec<String> = aggregates.iter().map(|a| self.aggregate(a)).collect();
                    properties.push(("Aggregates", list.join(", ")));
                }
                let title = match (groups.is_empty(), sets.is_empty()) {
                    (true, true) => "Aggregate",
                    (false, true) => "HashAggregate",
                    _ => "MixedAggregate",
                };
                (title.into(), properties)
            }
            Plan::Distinct { on, .. } => {
                ("Unique".into(), on.iter().map(|on| ("Distinct On", n.columns(on))).collect())
            }
            Plan::Window { partition, order, calls, .. } => {
                let mut properties = vec![];
                if !partition.is_empty() {
                    properties.push(("Partition By", n.columns(partition)));
                }
                if !order.is_empty() {
                    properties.push(("Order By", n.keys(order)));
                }
                let name = |c: &crate::WindowCall| match c.callee {
                    WindowCallee::Function { function, .. } => function.name,
                    WindowCallee::Aggregate { function, .. } => function.name,
                };
                let list: Vec<String> =
                    calls.iter().map(|c| format!("{}({})", name(c), n.list(&c.args))).collect();
                properties.push(("Calls", list.join(", ")));
                ("WindowAgg".into(), properties)
            }
            Plan::Sort { keys, limit: None, .. } => ("Sort".into(), vec![("Sort Key", n.keys(keys))]),
            Plan::Sort { keys, limit: Some(limit), .. } => {
                ("Top-N Sort".into(), vec![("Sort Key", n.keys(keys)), ("Rows", limit.to_string())])
            }
            Plan::Limit { limit, offset, ties, .. } => {
                let mut properties = vec![];
                properties.extend(limit.iter().map(|e| ("Rows", n.sql(e))));
                properties.extend(offset.iter().map(|e| ("Offset", n.sql(e))));
                properties.extend(ties.iter().map(|k| ("Ties", n.keys(k))));
                ("Limit".into(), properties)
            }
            Plan::Union { .. } => ("Append".into(), vec![]),
            Plan::SetOp { kind, all, .. } => {
                let name = match kind {
                    SetOpKind::Intersect => "Intersect",
                    SetOpKind::Except => "Except",
                };
                (format!("HashSetOp {name}{}", if *all { " All" } else { "" }), vec![])
            }
            Plan::With { name, .. } => (format!("With {name}"), vec![]),
            Plan::CteScan { name, .. } => (format!("CTE Scan on {name}"), vec![]),
            Plan::Recursive { name, distinct, .. } => (
                format!("Recursive Union {name}"),
                if *distinct { vec![("Distinct", "true".into())] } else { vec![] },
            ),
            Plan::Modify(m) => {
                let verb = match m.kind {
                    ModifyKind::Insert => "Insert",
                    ModifyKind::Update { .. } => "Update",
                    ModifyKind::Delete { .. } => "Delete",
                };
                (format!("{verb} on {}", m.table.name), vec![])
            }
        }
    }

    fn scan(&self, s: &Scan) -> (String, Vec<(&'static str, String)>) {
        let n = self.names;
        let mut relation = s.table.name.clone();
        if s.alias != s.table.name {
            relation = format!("{relation} {}", s.alias);
        }
        let mut properties = vec![];
        let title = match &s.index {
            None => format!("Seq Scan on {relation}"),
            Some(i) => {
                properties.push(("Index Cond", self.index_condition(s, i)));
                let index = s.table.indexes.iter().find(|d| d.id == i.index);
                let name = index.map_or("?", |d| &d.name);
                let backward = if i.reverse { " Backward" } else { "" };
                format!("Index Scan{backward} using {name} on {relation}")
            }
        };
        properties.retain(|(_, v)| !v.is_empty());
        if !s.filter.is_empty() {
            properties.push(("Filter", n.conjuncts(&s.filter)));
        }
        if !s.join_filters.is_empty() {
            let list: Vec<String> =
                s.join_filters.iter().map(|(f, c)| format!("#{} on {}", f.0, n.column(*c))).collect();
            properties.push(("Join Filter", list.join(", ")));
        }
        (title, properties)
    }

    fn index_condition(&self, s: &Scan, i: &IndexAccess) -> String {
        let Some(index) = s.table.indexes.iter().find(|d| d.id == i.index) else { return String::new() };
        let key = |at: usize| {
            let column = index.columns.get(at).and_then(|k| s.table.columns.get(k.column));
            column.map_or("?", |c| &c.name)
        };
        let mut list: Vec<String> = i
            .equal
            .iter()
            .enumerate()
            .map(|(at, e)| format!("({} = {})", key(at), self.names.sql(e)))
            .collect();
        for (bound, op) in [(&i.lower, '>'), (&i.upper, '<')] {
            if let Some((e, inclusive)) = bound {
                let eq = if *inclusive { "=" } else { "" };
                list.push(format!("({} {op}{eq} {})", key(i.equal.len()), self.names.sql(e)));
            }
        }
        match list.len() {
            0 => String::new(),
            1 => list.remove(0),
            _ => format!("({})", list.join(" AND ")),
        }
    }

    fn join(&self, j: &Join) -> (String, Vec<(&'static str, String)>) {
        let n = self.names;
        let mut properties = vec![];
        if let Some(l) = &j.lookup {
            properties.push(("Lookup", n.list(&l.keys)));
            if !j.on.is_empty() {
                properties.push(("Join Filter", n.conjuncts(&j.on)));
            }
            return (format!("Index Nested Loop{}", suffix(j.kind)), properties);
        }
        let (left, right) = (output(&j.left), output(&j.right));
        let is_key = |e: &&spg_expr::Expr| {
            split_equality(e, &right)
                .is_some_and(|(_, other, _)| !other.columns().is_empty() && other.columns().is_subset(&left))
        };
        let (keys, rest): (Vec<_>, Vec<_>) = j.on.iter().partition(is_key);
        let owned = |list: Vec<&spg_expr::Expr>| list.into_iter().cloned().collect::<Vec<_>>();
        let title = if keys.is_empty() {
            format!("Nested Loop{}", suffix(j.kind))
        } else {
            properties.push(("Hash Cond", n.conjuncts(&owned(keys))));
            match suffix(j.kind).as_str() {
                "" => "Hash Join".into(),
                s => format!("Hash{s}"),
            }
        };
        if !rest.is_empty() {
            properties.push(("Join Filter", n.conjuncts(&owned(rest))));
        }
        if !j.join_filters.is_empty() {
            let list: Vec<String> =
                j.join_filters.iter().map(|(f, e)| format!("#{} from {}", f.0, n.sql(e))).collect();
            properties.push(("Makes Filter", list.join(", ")));
        }
        (title, properties)
    }

    fn aggregate(&self, a: &AggregateCall) -> String {
        let n = self.names;
        let args = if a.args.is_empty() { "*".into() } else { n.list(&a.args) };
        let distinct = if a.distinct { "DISTINCT " } else { "" };
        let filter = a.filter.as_ref().map_or(String::new(), |f| format!(" FILTER (WHERE {})", n.sql(f)));
        format!("{}({distinct}{args}){filter}", a.function.name)
    }
}

fn kind_name(kind: JoinKind, inner: &str) -> String {
    let name = match kind {
        JoinKind::Inner => inner,
        JoinKind::Left => "Left",
        JoinKind::Right => "Right",
        JoinKind::Full => "Full",
        JoinKind::Semi => "Semi",
        JoinKind::Anti => "Anti",
        JoinKind::RightSemi => "Right Semi",
        JoinKind::RightAnti => "Right Anti",
        JoinKind::Mark(_) => "Mark",
        JoinKind::Single => "Single",
    };
    name.into()
}

fn suffix(kind: JoinKind) -> String {
    match kind {
        JoinKind::Inner => String::new(),
        kind => format!(" {} Join", kind_name(kind, "")),
    }
}
