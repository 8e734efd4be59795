//! `spg_stat_segment`: the segments of the cold tier.

use spg_expr::SystemRelation;
use spg_types::{Datum, Result, def};

use crate::rows::{Rows, count, text};
use crate::{Facts, PG_CATALOG, Relation, column};

pub(crate) const SPG_STAT_SEGMENT: Relation = Relation {
    shape: SystemRelation {
        schema: PG_CATALOG,
        name: "spg_stat_segment",
        doc: "The segments of the cold tier, one row each: a Parquet file with rows of one table.",
        columns: &[
            column("schema_name", &def::TEXT, "schema of the table"),
            column("table_name", &def::TEXT, "the table"),
            column("segment_id", &def::INT8, "number of the segment, never given twice"),
            column("file", &def::TEXT, "path of the file, which any reader of Parquet opens"),
            column("rows", &def::INT8, "rows in the file, dead ones included"),
            column("dead_rows", &def::INT8, "rows of the file that are deleted since"),
            column("bytes", &def::INT8, "size of the file"),
            column(
                "uncompressed_bytes",
                &def::INT8,
                "size of its encoded columns (dictionaries, differences) before zstd",
            ),
            column("compression_ratio", &def::FLOAT8, "uncompressed_bytes / bytes"),
            column("row_groups", &def::INT8, "row groups in the file"),
            column("first_row_id", &def::INT8, "smallest row id"),
            column("last_row_id", &def::INT8, "largest row id"),
        ],
    },
    rows,
};

fn rows(facts: &Facts<'_>, rows: &mut Rows) -> Result<()> {
    for table in facts.snapshot.tables_by_name() {
        for segment in table.segments()? {
            rows.push([
                text(&table.def().schema),
                text(&table.def().name),
                count(segment.id),
                text(&segment.file),
                count(segment.rows),
                count(segment.rows - segment.live_rows),
                count(segment.bytes),
                count(segment.uncompressed_bytes),
                Datum::Float64(segment.uncompressed_bytes as f64 / segment.bytes.max(1) as f64),
                count(segment.row_groups),
                count(segment.first_row_id),
                count(segment.last_row_id),
            ])?;
        }
    }
    Ok(())
}
