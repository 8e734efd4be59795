//! The search for the cheapest join tree.

use ahash::AHashMap;

use super::graph::{Graph, Set, members};
use crate::{JoinKind, cost};

/// Up to so many relations all trees are looked at.
const EXHAUSTIVE: usize = 11;

/// A join tree; the right side is the build side.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Leaf(usize),
    Join { left: Box<Tree>, right: Box<Tree>, kind: JoinKind },
}

impl Tree {
    /// Its relations.
    pub(super) fn set(&self) -> Set {
        match self {
            Tree::Leaf(i) => 1 << i,
            Tree::Join { left, right, .. } => left.set() | right.set(),
        }
    }
}

/// The best way found for a set.
#[derive(Clone, Copy)]
struct Best {
    cost: f64,
    /// Probe side, build side, kind; `None` for single relations.
    split: Option<(Set, Set, JoinKind)>,
}

/// The cheapest tree that can be found for the whole graph.
pub(super) fn search(graph: &Graph) -> Tree {
    let all = graph.all();
    if graph.relations.len() <= EXHAUSTIVE {
        for cross in [false, true] {
            let table = exhaustive(graph, cross);
            if table.contains_key(&all) {
                return tree(&table, all);
            }
        }
    }
    greedy(graph)
}

fn tree(table: &AHashMap<Set, Best>, set: Set) -> Tree {
    match table.get(&set).and_then(|b| b.split) {
        Some((a, b, kind)) => {
            Tree::Join { left: Box::new(tree(table, a)), right: Box::new(tree(table, b)), kind }
        }
        None => Tree::Leaf(set.trailing_zeros() as usize),
    }
}

/// Dynamic programming over all subsets; `cross` allows products.
fn exhaustive(graph: &Graph, cross: bool) -> AHashMap<Set, Best> {
    let all = graph.all();
    let mut table: AHashMap<Set, Best> = AHashMap::new();
    for i in 0..graph.relations.len() {
        table.insert(1 << i, Best { cost: graph.relations[i].cost, split: None });
    }
    let neighbours: Vec<Set> =
        (0..=all).map(|s| members(s).fold(0, |n, i| n | graph.neighbours[i])).collect();
    for set in 1..=all {
        if set.count_ones() < 2 {
            continue;
        }
        let mut best: Option<Best> = None;
        let mut a = (set - 1) & set;
        while a != 0 {
            let b = set & !a;
            if cross || neighbours[a as usize] & b != 0 {
                consider(graph, &table, a, b, cross, &mut best);
            }
            a = (a - 1) & set;
        }
        if let Some(best) = best {
            table.insert(set, best);
        }
    }
    table
}

fn consider(
    graph: &Graph,
    table: &AHashMap<Set, Best>,
    a: Set,
    b: Set,
    cross: bool,
    best: &mut Option<Best>,
) {
    let (Some(left), Some(right)) = (table.get(&a), table.get(&b)) else { return };
    for (kind, own) in ways(graph, a, b, cross) {
        let below = match kind {
            // A lookup does not read the right side as a whole.
            Way::Lookup(_) => left.cost,
            Way::Join(_) => left.cost + right.cost,
        };
        let total = below + own;
        if best.is_none_or(|b| total < b.cost) {
            let (Way::Join(kind) | Way::Lookup(kind)) = kind;
            *best = Some(Best { cost: total, split: Some((a, b, kind)) });
        }
    }
}

enum Way {
    Join(JoinKind),
    Lookup(JoinKind),
}

/// How `a` as the probe side and `b` as the build side may be joined, with the join's own cost.
fn ways(graph: &Graph, a: Set, b: Set, cross: bool) -> Vec<(Way, f64)> {
    let (rows_a, rows_b, out) = (graph.size(a), graph.size(b), graph.size(a | b));
    let own = |keyed: bool| match keyed {
        true => cost::hash_join(rows_a, rows_b, out),
        false => cost::nested_loop(rows_a, rows_b, out),
    };
    let mut ways = vec![];
    let op = |set: Set| match set.count_ones() {
        1 => graph.relations[set.trailing_zeros() as usize].op.as_ref(),
        _ => None,
    };
    match (op(a), op(b)) {
        (None, None) => {
            if graph.core(a) == 0 || graph.core(b) == 0 {
                return ways;
            }
            let keyed = graph.keyed(a, b);
            if keyed || cross || connected(graph, a, b) {
                ways.push((Way::Join(JoinKind::Inner), own(keyed)));
            }
            if b.count_ones() == 1 && graph.lookup(a, b.trailing_zeros() as usize) {
                ways.push((Way::Lookup(JoinKind::Inner), cost::index_join(rows_a, out)));
            }
        }
        (None, Some(op)) if op.needs & !a == 0 => ways.push((Way::Join(op.kind), own(op.keyed))),
        (Some(op), None) if op.needs & !b == 0 && op.keyed => {
            let kind = match op.kind {
                JoinKind::Left => JoinKind::Right,
                JoinKind::Semi => JoinKind::RightSemi,
                JoinKind::Anti => JoinKind::RightAnti,
                _ => return ways,
            };
            ways.push((Way::Join(kind), own(true)));
        }
        _ => {}
    }
    ways
}

/// Whether some predicate spans both sets, or one side has one row.
fn connected(graph: &Graph, a: Set, b: Set) -> bool {
    members(a).any(|i| graph.neighbours[i] & b != 0)
}

/// Joins the two parts whose join is cheapest, again and again.
fn greedy(graph: &Graph) -> Tree {
    let mut parts: Vec<Tree> = (0..graph.relations.len()).map(Tree::Leaf).collect();
    while parts.len() > 1 {
        let mut best: Option<(usize, usize, JoinKind, f64)> = None;
        for cross in [false, true] {
            for i in 0..parts.len() {
                for j in 0..parts.len() {
                    if i == j {
                        continue;
                    }
                    let (a, b) = (parts[i].set(), parts[j].set());
                    for (way, own) in ways(graph, a, b, cross) {
                        let (Way::Join(kind) | Way::Lookup(kind)) = way;
                        // What a join leaves matters more than what it costs: later joins pay for it.
                        let rank = own + 4.0 * graph.size(a | b);
                        if best.is_none_or(|b| rank < b.3) {
                            best = Some((i, j, kind, rank));
                        }
                    }
                }
            }
            if best.is_some() {
                break;
            }
        }
        let Some((i, j, kind, _)) = best else { break };
        let (first, second) = (i.max(j), i.min(j));
        let (x, y) = (parts.swap_remove(first), parts.swap_remove(second));
        let (left, right) = if i > j { (x, y) } else { (y, x) };
        parts.push(Tree::Join { left: Box::new(left), right: Box::new(right), kind });
    }
    parts.swap_remove(0)
}
