//! A seeded simulation of the store on a disk that fails: several lives of one database, each ended by a power cut, a failing
//! operation, a full disk or an orderly close, compared with a plain map after every start. The same seed does the same again,
//! as far as threads allow.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringViewArray};
use arrow::datatypes::Int32Type;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_store::{DbSnapshot, LockWait, Store, StoreOptions, TierOptions, WriteTxn};
use spg_types::{
    ColumnDef, IndexColumn, IndexDef, IndexId, IndexOrigin, Result, SqlType, TableDef, TableId, def,
};
use spg_vfs::{Fault, FaultVfs, MemoryVfs};

/// What the table must hold: texts by id.
type Rows = BTreeMap<i32, Option<String>>;

/// Lives of one database.
const LIVES: usize = 4;

/// What a seed has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Commits that were acknowledged.
    pub acknowledged: u64,
    /// Checkpoints that were made.
    pub checkpoints: u64,
    /// Starts of the database.
    pub starts: u64,
}

struct Simulation {
    seed: u64,
    rng: StdRng,
    /// The state after each commit that may have happened.
    states: BTreeMap<u64, Rows>,
    acknowledged: u64,
    next_id: i32,
    outcome: Outcome,
}

fn table() -> TableDef {
    let column = |name: &str, ty, not_null| ColumnDef { name: name.into(), ty, not_null, default: None };
    let key = IndexColumn { column: 0, descending: false, nulls_first: false };
    TableDef {
        id: TableId(0),
        schema: "public".into(),
        name: "t".into(),
        columns: vec![
            column("id", SqlType::new(&def::INT4), true),
            column("s", SqlType::new(&def::TEXT), false),
        ],
        indexes: vec![IndexDef {
            id: IndexId(0),
            name: "t_pkey".into(),
            columns: vec![key],
            unique: true,
            origin: IndexOrigin::PrimaryKey,
        }],
        checks: vec![],
        foreign_keys: vec![],
    }
}

fn open(disk: &FaultVfs) -> Result<Arc<Store>> {
    Store::open(StoreOptions {
        vfs: Arc::new(disk.clone()),
        db_path: "d/spg.db".into(),
        wal_path: "d/wal.log".into(),
        wal_tee: None,
        synchronous_commit: true,
        checkpoint_wal_bytes: 20_000,
        tier: TierOptions::default(),
        clock: || 1_000_000,
    })
}

/// The table's rows, and their ids in the store.
fn content(db: &DbSnapshot) -> std::result::Result<(Rows, BTreeMap<i32, u64>), String> {
    let (mut rows, mut ids) = (Rows::new(), BTreeMap::new());
    let Some(t) = db.find_table("public", "t") else { return Ok((rows, ids)) };
    for group in t.row_groups() {
        let row_ids: Vec<u64> =
            (0..group.len()).filter(|o| group.is_live(*o)).map(|o| group.row_id(o)).collect();
        let columns = t.fetch(&row_ids, &[0, 1]).map_err(|e| format!("{e:?}"))?;
        let flat = |array: &ArrayRef| match array.as_any_dictionary_opt() {
            Some(d) => arrow::compute::take(d.values(), d.keys(), None),
            None => Ok(array.clone()),
        };
        let texts = flat(&columns[1]).map_err(|e| e.to_string())?;
        let (keys, texts) = (columns[0].as_primitive::<Int32Type>(), texts.as_string_view());
        for (i, row_id) in row_ids.iter().enumerate() {
            let text = texts.is_valid(i).then(|| texts.value(i).to_owned());
            if rows.insert(keys.value(i), text).is_some() {
                return Err(format!("id {} is there twice", keys.value(i)));
            }
            ids.insert(keys.value(i), *row_id);
        }
    }
    for (id, row_id) in &ids {
        let found = t.indexes()[0].get(&[spg_types::Datum::Int32(*id)]).map_err(|e| format!("{e:?}"))?;
        if found.as_slice() != [*row_id] {
            return Err(format!("the index has {found:?} for id {id}, which is row {row_id}"));
        }
    }
    Ok((rows, ids))
}

impl Simulation {
    fn insert(&mut self, txn: &mut WriteTxn, t: TableId, rows: &mut Rows, ids: &[i32]) -> Result<()> {
        let text = |rng: &mut StdRng| rng.random_bool(0.9).then(|| "x".repeat(rng.random_range(0..200)));
        let texts: Vec<Option<String>> = ids.iter().map(|_| text(&mut self.rng)).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(ids.to_vec())),
            Arc::new(StringViewArray::from_iter(texts.clone())),
        ];
        txn.append(t, columns)?;
        rows.extend(ids.iter().copied().zip(texts));
        Ok(())
    }

    /// One transaction; the state after it is noted before it is known whether it has happened.
    fn transaction(&mut self, store: &Arc<Store>) -> Result<std::result::Result<(), String>> {
        let mut txn = store.begin(&LockWait::default())?;
        let (mut rows, ids) = match content(&txn.snapshot()) {
            Ok(found) => found,
            Err(e) => return Ok(Err(e)),
        };
        let t = match txn.snapshot().find_table("public", "t") {
            Some(t) => t.def().id,
            None => txn.create_table(table())?,
        };
        let share = self.rng.random_range(0.0..0.4);
        let some: Vec<i32> = ids.keys().copied().filter(|_| self.rng.random_bool(share)).collect();
        let row_ids: Vec<u64> = some.iter().map(|id| ids[id]).collect();
        match self.rng.random_range(0..10) {
            0..=5 => {
                let n = [1, 3, 40][self.rng.random_range(0..3)];
                let new: Vec<i32> = (self.next_id..self.next_id + n).collect();
                self.next_id += n;
                self.insert(&mut txn, t, &mut rows, &new)?;
            }
            6 | 7 => {
                txn.delete(t, &row_ids)?;
                rows.retain(|id, _| !some.contains(id));
            }
            8 if self.rng.random_bool(0.2) => {
                txn.truncate(t)?;
                rows.clear();
            }
            _ => {
                txn.delete(t, &row_ids)?;
                self.insert(&mut txn, t, &mut rows, &some)?;
            }
        }
        if self.rng.random_bool(0.1) || !txn.has_changes() {
            return Ok(Ok(()));
        }
        let number = txn.snapshot().commit_no() + 1;
        self.states.insert(number, rows);
        txn.commit()?.wait()?;
        self.acknowledged = number;
        self.outcome.acknowledged += 1;
        Ok(Ok(()))
    }

    /// Runs until the disk fails or the life is over.
    fn life(&mut self, disk: &FaultVfs) -> Result<std::result::Result<(), String>> {
        let store = open(disk)?;
        for _ in 0..self.rng.random_range(1..25) {
            if self.rng.random_bool(0.1) {
                self.outcome.checkpoints += u64::from(store.checkpoint().is_ok());
            }
            if let Err(e) = self.transaction(&store)? {
                return Ok(Err(e));
            }
        }
        if self.rng.random_bool(0.5) {
            store.close()?;
        }
        Ok(Ok(()))
    }

    /// A start without faults gives a state that was acknowledged, or one that was under way.
    fn check(&mut self, disk: &MemoryVfs) -> std::result::Result<(), String> {
        let store = open(&FaultVfs::new(disk.clone())).map_err(|e| format!("the start is refused: {e:?}"))?;
        self.outcome.starts += 1;
        let db = store.published();
        let number = db.commit_no();
        if number < self.acknowledged {
            return Err(format!("commit {number} of {} acknowledged ones is the last", self.acknowledged));
        }
        let (found, _) = content(&db)?;
        if found != self.states[&number] {
            return Err(format!("another state than that of commit {number}"));
        }
        self.acknowledged = number;
        Ok(())
    }

    fn run(&mut self) -> std::result::Result<(), String> {
        let mut image = MemoryVfs::journaled();
        for life in 0..LIVES {
            let disk = FaultVfs::new(image.clone());
            let at = self.rng.random_range(0..120);
            match self.rng.random_range(0..6) {
                0..=2 => disk.fail_after(at, Fault::Crash),
                3 => disk.fail_after(at, [Fault::Io, Fault::NoSpace, Fault::ShortWrite][life % 3]),
                4 => disk.set_capacity(Some(image.total_bytes() + self.rng.random_range(1_000..80_000))),
                _ => {}
            }
            // What the disk makes fail is no failure of the store.
            self.life(&disk).unwrap_or(Ok(()))?;
            // The process ends, and often the machine with it.
            image = disk.crash_image(self.rng.random());
            self.check(&image).map_err(|e| format!("life {life}: {e}"))?;
            image = image.crash_image(self.rng.random());
        }
        Ok(())
    }
}

/// Runs one seed. The error says what the store got wrong, and with which seed.
pub fn run(seed: u64) -> std::result::Result<Outcome, String> {
    let mut simulation = Simulation {
        seed,
        rng: StdRng::seed_from_u64(seed),
        states: BTreeMap::from([(0, Rows::new())]),
        acknowledged: 0,
        next_id: 1,
        outcome: Outcome::default(),
    };
    let result = simulation.run();
    result.map(|()| simulation.outcome).map_err(|e| format!("seed {}: {e}", simulation.seed))
}
