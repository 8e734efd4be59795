//! The executor: plans become pipelines, pipelines run morsel by morsel on the scheduler's workers.
//!
//! The life of a query: [`CompiledPlan::compile`] lowers a plan (`lower/`, one file per noun) to a program of pipelines, each a
//! source, stages and a sink (`op/`). [`CompiledPlan::start`] makes a run of it. Workers take tasks from the query
//! (`query.rs`): a driver (`driver.rs`) takes morsels from its source and pushes their batches through the stages into the
//! sink; when a sink has all its rows, the pipelines that wait for it start. Results leave through a bounded queue
//! (`stream.rs`).

#![allow(
    clippy::useless_conversion,
    reason = "`with_ints!` writes one body for every width; for 64 bits widening is nothing"
)]

mod batch;
mod cancel;
mod checks;
mod compiled;
mod driver;
mod gather;
mod ints;
mod key;
mod lower;
mod memory;
mod modify;
mod op;
mod pipeline;
mod predicate;
mod program;
mod query;
mod run;
mod scalar;
mod scheduler;
mod sort_key;
mod stream;
mod system;
mod zone;

pub use cancel::{CancelReason, CancelToken};
pub use checks::RowChecks;
pub use compiled::{CompiledPlan, Modified};
pub use memory::{MemoryBudget, MemoryPool};
pub use run::{DEFAULT_BATCH_SIZE, ExecEnv};
pub use scheduler::Scheduler;
pub use stream::{ResultBatch, ResultStream};
pub use system::{NoSystem, SystemCatalog};
