//! `spg_stat_table`: how the rows of tables are spread over the tiers.

use spg_expr::SystemRelation;
use spg_types::{Result, def};

use crate::rows::{Rows, count, optional, text};
use crate::{Facts, PG_CATALOG, Relation, column};

pub(crate) const SPG_STAT_TABLE: Relation = Relation {
    shape: SystemRelation {
        schema: PG_CATALOG,
        name: "spg_stat_table",
        doc: "Tables, one row each: what is in memory, what is in segments, what is dead, as the statement sees it.",
        columns: &[
            column("schema_name", &def::TEXT, "schema of the table"),
            column("table_name", &def::TEXT, "the table"),
            column("hot_rows", &def::INT8, "live rows in memory"),
            column("hot_bytes", &def::INT8, "memory that columns take; indexes come on top"),
            column("cold_rows", &def::INT8, "live rows in segments"),
            column("cold_bytes", &def::INT8, "size of the segments"),
            column("dead_rows", &def::INT8, "deleted rows of either tier that still take space"),
            column("segments", &def::INT8, "number of segments"),
            column("indexes", &def::INT8, "number of indexes"),
            column("index_entries", &def::INT8, "entries of all indexes together"),
            column(
                "index_bytes",
                &def::INT8,
                "memory that indexes take; one that nobody has used since the start takes none",
            ),
            column(
                "hot_tier_bytes",
                &def::INT8,
                "the table's own budget of memory, NULL when it shares SPG_HOT_TIER_BYTES",
            ),
        ],
    },
    rows,
};

fn rows(facts: &Facts<'_>, rows: &mut Rows) -> Result<()> {
    for table in facts.snapshot.tables_by_name() {
        let tiers = table.tiers();
        rows.push([
            text(&table.def().schema),
            text(&table.def().name),
            count(tiers.hot_rows),
            count(tiers.hot_bytes),
            count(tiers.cold_rows),
            count(tiers.cold_bytes),
            count(tiers.dead_rows),
            count(tiers.segments),
            count(table.indexes().len() as u64),
            count(table.indexes().iter().map(|i| i.len()).sum()),
            count(table.indexes().iter().map(|i| i.bytes() as u64).sum()),
            optional(table.def().options.hot_tier_bytes, count),
        ])?;
    }
    Ok(())
}
