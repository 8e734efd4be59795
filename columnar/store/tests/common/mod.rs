//! What the store's tests share: a table, rows, and the whole content of a snapshot to compare.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(dead_code, unreachable_pub)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Decimal64Array, Int32Array, Int64Array, StringViewArray};
use spg_store::{DbSnapshot, LockWait, Store, StoreOptions, TableSnapshot, TierOptions, WriteTxn};
use spg_types::{
    ColumnDef, Datum, ForeignKeyAction, ForeignKeyDef, IndexColumn, IndexDef, IndexId, IndexOrigin, SqlState,
    SqlType, TableDef, TableId, def,
};
use spg_vfs::Vfs;

pub type Row = (i32, Option<i64>, Option<String>, i64);

pub fn column(name: &str, ty: SqlType, not_null: bool) -> ColumnDef {
    ColumnDef { name: name.into(), ty, not_null, default: None }
}

pub fn index(name: &str, columns: &[usize], origin: IndexOrigin) -> IndexDef {
    let unique = origin != IndexOrigin::Created;
    let columns =
        columns.iter().map(|c| IndexColumn { column: *c, descending: false, nulls_first: false }).collect();
    IndexDef { id: IndexId(0), name: name.into(), columns, unique, origin }
}

pub fn money() -> SqlType {
    SqlType::with_typmod(&def::NUMERIC, ((15 << 16) | 2) + 4)
}

/// `(id int primary key, k bigint, s text, d numeric(15,2) not null)` with indexes on `k` and on `(s, k desc)`.
pub fn items(name: &str) -> TableDef {
    let mut by_text = index(&format!("{name}_s_k"), &[2, 1], IndexOrigin::Created);
    by_text.columns[1].descending = true;
    by_text.columns[1].nulls_first = true;
    TableDef {
        id: TableId(0),
        schema: "public".into(),
        name: name.into(),
        columns: vec![
            column("id", SqlType::new(&def::INT4), true),
            column("k", SqlType::new(&def::INT8), false),
            column("s", SqlType::new(&def::TEXT), false),
            column("d", money(), true),
        ],
        indexes: vec![
            index(&format!("{name}_pkey"), &[0], IndexOrigin::PrimaryKey),
            index(&format!("{name}_k"), &[1], IndexOrigin::Created),
            by_text,
        ],
        checks: vec![],
        foreign_keys: vec![],
        options: Default::default(),
    }
}

/// A foreign key on one column to another table's primary key.
pub fn foreign_key(name: &str, column: usize, to: &TableSnapshot) -> ForeignKeyDef {
    let key = to.def().primary_key().unwrap();
    ForeignKeyDef {
        name: name.into(),
        columns: vec![column],
        ref_table: to.def().id,
        ref_columns: vec![key.columns[0].column],
        ref_index: key.id,
        on_delete: ForeignKeyAction::NoAction,
        on_update: ForeignKeyAction::NoAction,
    }
}

pub fn arrays(rows: &[Row]) -> Vec<ArrayRef> {
    let d = Decimal64Array::from_iter_values(rows.iter().map(|r| r.3)).with_data_type(money().data_type());
    vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.0))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.1))),
        Arc::new(StringViewArray::from_iter(rows.iter().map(|r| r.2.clone()))),
        Arc::new(d),
    ]
}

/// Every live row with its id, as text, in order of the ids.
pub fn rows(table: &TableSnapshot) -> Vec<(u64, String)> {
    let mut out = Vec::new();
    for group in table.row_groups() {
        assert!(group.live_rows() > 0);
        let columns = group.columns().unwrap();
        for offset in (0..group.len()).filter(|o| group.is_live(*o)) {
            let values = columns.iter().zip(&table.def().columns);
            let values: Vec<Datum> =
                values.map(|(array, c)| Datum::from_column(array, offset, c.ty).unwrap()).collect();
            out.push((group.row_id(offset), format!("{values:?}")));
        }
    }
    assert!(out.is_sorted_by(|a, b| a.0 < b.0), "row ids ascend");
    assert_eq!(out.len() as u64, table.rows());
    out
}

/// All that a snapshot says; checks that indexes and rows agree.
pub fn dump(db: &DbSnapshot) -> String {
    let mut out = format!("{:?} {:?}\n", db.schemas().collect::<Vec<_>>(), db.roles().collect::<Vec<_>>());
    for table in db.tables() {
        out += &format!("{:?}\n{:?}\n", table.def(), rows(table));
        check_indexes(table);
    }
    out
}

pub fn check_indexes(table: &TableSnapshot) {
    use std::ops::Bound::Unbounded;
    for index in table.indexes() {
        assert_eq!(index.len(), table.rows(), "index {}", index.def().name);
        let found: Vec<u64> = index.range(Unbounded, Unbounded, false).unwrap().collect();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        assert!(
            sorted.iter().copied().eq(rows(table).into_iter().map(|r| r.0)),
            "index {}",
            index.def().name
        );
        let columns: Vec<usize> = index.def().columns.iter().map(|c| c.column).collect();
        if found.is_empty() {
            continue;
        }
        let values = table.fetch(&found, &columns).unwrap();
        for (i, row_id) in found.iter().enumerate().step_by(1 + found.len() / 50) {
            let key: Vec<Datum> = columns
                .iter()
                .zip(&values)
                .map(|(c, v)| Datum::from_column(v, i, table.def().columns[*c].ty).unwrap())
                .collect();
            assert!(
                index.get(&key).unwrap().as_slice().contains(row_id),
                "index {} {key:?}",
                index.def().name
            );
        }
    }
}

pub fn options(vfs: Arc<dyn Vfs>) -> StoreOptions {
    StoreOptions {
        vfs,
        db_path: "d/spg.db".into(),
        wal_path: "d/wal.log".into(),
        wal_tee: None,
        synchronous_commit: true,
        checkpoint_wal_bytes: 1 << 30,
        tier: TierOptions::default(),
        clock: || 1_000_000,
    }
}

pub fn open(vfs: Arc<dyn Vfs>) -> spg_types::Result<Arc<Store>> {
    open_with(&options(vfs))
}

/// Opens a store, as soon as the background of one that was dropped has noticed.
pub fn open_with(options: &StoreOptions) -> spg_types::Result<Arc<Store>> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Store::open(options.clone()) {
            Err(e) if e.state() == SqlState::OBJECT_IN_USE && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            other => return other,
        }
    }
}

pub fn begin(store: &Arc<Store>) -> WriteTxn {
    store.begin(&LockWait::default()).unwrap()
}

/// Row ids of a random part of a table's rows.
pub fn some_rows(table: &TableSnapshot, rng: &mut impl rand::Rng, share: f64) -> Vec<u64> {
    let ids = table
        .row_groups()
        .flat_map(|g| (0..g.len()).filter(|o| g.is_live(*o)).map(|o| g.row_id(o)).collect::<Vec<_>>());
    ids.filter(|_| rng.random_bool(share)).collect()
}
