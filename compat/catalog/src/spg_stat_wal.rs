//! `spg_stat_wal`: the log.

use spg_expr::SystemRelation;
use spg_types::{Datum, Result, def};

use crate::rows::{Rows, count, optional, text};
use crate::{Facts, PG_CATALOG, Relation, column};

pub(crate) const SPG_STAT_WAL: Relation = Relation {
    shape: SystemRelation {
        schema: PG_CATALOG,
        name: "spg_stat_wal",
        doc: "The log, in one row; none for a database without files.",
        columns: &[
            column("file", &def::TEXT, "path of the file that is written to"),
            column("bytes", &def::INT8, "bytes of it in use"),
            column("first_commit", &def::INT8, "number of its first commit"),
            column("last_commit", &def::INT8, "number of the last commit that the statement sees"),
            column("rotated_files", &def::INT8, "older files beside it that are still needed"),
            column("checkpoint", &def::INT8, "number of the latest checkpoint, NULL before the first one"),
            column(
                "checkpoint_commit",
                &def::INT8,
                "the last commit in it: a start reads the log from the next one on",
            ),
            column("checkpoint_wal_bytes", &def::INT8, "a log of this size leads to a checkpoint"),
            column("synchronous_commit", &def::BOOL, "whether commits wait until they are durable"),
            column("tee_file", &def::TEXT, "path of the second copy, NULL without one"),
            column("tee_state", &def::TEXT, "following; or ended, and why"),
            column("read_only", &def::BOOL, "whether writes are refused since a sync has failed"),
            column("read_only_reason", &def::TEXT, "why"),
        ],
    },
    rows,
};

fn rows(facts: &Facts<'_>, rows: &mut Rows) -> Result<()> {
    let Some(wal) = facts.store.wal()? else { return Ok(()) };
    let log = &wal.log;
    let tee_state = log.tee_path.as_ref().map(|_| match &log.tee_error {
        None => "following".to_owned(),
        Some(error) => format!("ended: {error}"),
    });
    rows.push([
        text(&log.path.display().to_string()),
        count(log.bytes),
        count(log.first_commit_no),
        count(facts.snapshot.commit_no()),
        count(log.rotated_files as u64),
        optional(wal.checkpoint, |(number, _)| count(number)),
        optional(wal.checkpoint, |(_, commit)| count(commit)),
        count(wal.checkpoint_wal_bytes),
        Datum::Bool(wal.synchronous_commit),
        optional(log.tee_path.as_ref(), |p| text(&p.display().to_string())),
        optional(tee_state, |s| text(&s)),
        Datum::Bool(log.read_only.is_some()),
        optional(log.read_only.as_ref(), |e| text(&e.to_string())),
    ])
}
