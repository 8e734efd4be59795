//! Keys: what is refused, and in PostgreSQL's words.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use common::*;
use spg_store::{Store, WriteTxn};
use spg_types::{IndexOrigin, SqlState, SqlType, TableDef, TableId, def};

/// `parent` is [`items`]; `child (id int, parent bigint references parent)`, with or without an index on `parent`.
fn family(txn: &mut WriteTxn, indexed: bool) -> (TableId, TableId) {
    let parent = txn.create_table(items("parent")).unwrap();
    let mut child = TableDef {
        id: TableId(0),
        schema: "public".into(),
        name: "child".into(),
        columns: vec![
            column("id", SqlType::new(&def::INT8), true),
            column("parent", SqlType::new(&def::INT8), false),
        ],
        indexes: vec![],
        checks: vec![],
        foreign_keys: vec![foreign_key("child_parent_fkey", 1, txn.snapshot().table(parent).unwrap())],
        options: Default::default(),
    };
    if indexed {
        child.indexes.push(index("child_parent", &[1, 0], IndexOrigin::Created));
    }
    (parent, txn.create_table(child).unwrap())
}

fn children(rows: &[(i64, Option<i64>)]) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.1))),
    ]
}

#[test]
fn foreign_keys_hold_in_both_directions() {
    for indexed in [false, true] {
        let store = Store::in_memory().unwrap();
        let mut txn = begin(&store);
        let (parent, child) = family(&mut txn, indexed);
        let ids = txn
            .append(parent, arrays(&[(1, None, None, 0), (2, None, None, 0), (3, None, None, 0)]))
            .unwrap();
        let start = txn.savepoint();

        txn.append(child, children(&[(1, Some(1)), (2, None), (3, Some(4))])).unwrap();
        let error = txn.end_statement().unwrap_err();
        assert_eq!(error.state(), SqlState::FOREIGN_KEY_VIOLATION);
        assert_eq!(
            error.message(),
            "insert or update on table \"child\" violates foreign key constraint \"child_parent_fkey\""
        );
        assert_eq!(error.detail(), Some("Key (parent)=(4) is not present in table \"parent\"."));
        assert_eq!((error.table(), error.constraint()), (Some("child"), Some("child_parent_fkey")));
        txn.rollback_to(&start).unwrap();
        txn.end_statement().unwrap();

        // Larger than the referenced type: nothing can be there.
        txn.append(child, children(&[(1, Some(1 << 40))])).unwrap();
        assert_eq!(txn.end_statement().unwrap_err().state(), SqlState::FOREIGN_KEY_VIOLATION);
        txn.rollback_to(&start).unwrap();

        txn.append(child, children(&[(1, Some(1)), (2, None), (3, Some(2))])).unwrap();
        txn.end_statement().unwrap();
        let start = txn.savepoint();
        txn.delete(parent, &[ids.start + 1]).unwrap();
        let error = txn.end_statement().unwrap_err();
        assert_eq!(
            error.message(),
            "update or delete on table \"parent\" violates foreign key constraint \"child_parent_fkey\" on table \"child\""
        );
        assert_eq!(error.detail(), Some("Key (id)=(2) is still referenced from table \"child\"."));
        txn.rollback_to(&start).unwrap();

        // An update that keeps the key, and the removal of a row that nobody points at.
        txn.delete(parent, &[ids.start + 1, ids.start + 2]).unwrap();
        txn.append(parent, arrays(&[(2, Some(5), None, 9)])).unwrap();
        txn.end_statement().unwrap();
        txn.check_foreign_key(child, "child_parent_fkey").unwrap();
        txn.commit().unwrap().wait().unwrap();
    }
}

#[test]
fn a_commit_checks_a_statement_that_was_not_ended() {
    let store = Store::in_memory().unwrap();
    let mut txn = begin(&store);
    let (_, child) = family(&mut txn, false);
    txn.append(child, children(&[(1, Some(1))])).unwrap();
    assert_eq!(txn.commit().err().unwrap().state(), SqlState::FOREIGN_KEY_VIOLATION);
    assert_eq!(store.published().tables().count(), 0);
}

#[test]
fn nulls_are_not_duplicates() {
    let store = Store::in_memory().unwrap();
    let mut txn = begin(&store);
    let mut table = items("t");
    table.indexes[1] = index("t_k_key", &[1, 2], IndexOrigin::UniqueConstraint);
    let t = txn.create_table(table).unwrap();
    let row = |id, k, s: Option<&str>| (id, k, s.map(String::from), 0);
    txn.append(t, arrays(&[row(1, None, Some("a")), row(2, None, Some("a")), row(3, Some(1), None)]))
        .unwrap();
    txn.append(t, arrays(&[row(4, Some(1), None), row(5, Some(1), Some("x, \"y\""))])).unwrap();
    let error = txn.append(t, arrays(&[row(6, Some(1), Some("x, \"y\""))])).unwrap_err();
    assert_eq!(error.detail(), Some("Key (k, s)=(1, x, \"y\") already exists."));
    assert_eq!(error.constraint(), Some("t_k_key"));
    // Twice in one batch.
    let error = txn.append(t, arrays(&[row(7, None, None), row(7, None, None)])).unwrap_err();
    assert_eq!(error.detail(), Some("Key (id)=(7) already exists."));
    // Built over rows that are there.
    txn.create_index(t, index("again", &[1, 2], IndexOrigin::UniqueConstraint)).unwrap();
}

#[test]
fn a_table_may_point_at_itself() {
    let store = Store::in_memory().unwrap();
    let mut txn = begin(&store);
    let mut tree = items("tree");
    tree.columns[1].ty = SqlType::new(&def::INT4);
    tree.indexes.truncate(1);
    tree.foreign_keys.push(spg_types::ForeignKeyDef {
        name: "tree_k_fkey".into(),
        columns: vec![1],
        ref_table: TableId(0),
        ref_columns: vec![0],
        ref_index: spg_types::IndexId(0),
        on_delete: spg_types::ForeignKeyAction::NoAction,
        on_update: spg_types::ForeignKeyAction::NoAction,
    });
    let t = txn.create_table(tree).unwrap();
    let rows = |rows: &[(i32, Option<i32>)]| -> Vec<ArrayRef> {
        let mut columns = arrays(&rows.iter().map(|r| (r.0, None, None, 0)).collect::<Vec<_>>());
        columns[1] = Arc::new(arrow::array::Int32Array::from_iter(rows.iter().map(|r| r.1)));
        columns
    };
    let ids = txn.append(t, rows(&[(2, Some(1)), (1, None), (3, Some(3))])).unwrap();
    txn.end_statement().unwrap();
    let start = txn.savepoint();
    txn.delete(t, &[ids.start + 1]).unwrap();
    assert!(txn.end_statement().is_err());
    txn.rollback_to(&start).unwrap();
    txn.delete(t, &ids.collect::<Vec<_>>()).unwrap();
    txn.end_statement().unwrap();
}
