//! The facade over parser, planner, executor and store: sessions with their transactions, prepared statements, portals,
//! cursors and settings. Synchronous; whoever calls decides about threads.

mod alter_column;
mod auth;
mod cancel;
mod catalog_view;
mod cell;
mod client;
mod copy;
mod ddl;
mod explain;
mod extended;
mod instance;
mod planning;
mod portal;
mod running;
mod session;
mod set_config;
mod settings;
mod statement;
mod storage_access;
mod transaction;
mod utility;

pub use auth::Credentials;
pub use cancel::CancelHandle;
pub use cell::CellWriter;
pub use client::{Client, Notice, Severity};
pub use extended::{ExecuteEnd, StatementDescription};
pub use instance::{Instance, InstanceConfig};
pub use session::{Session, SessionOptions};
pub use settings::{SETTINGS, Setting, SettingKind, Unit};
pub use spg_expr::Column;
pub use spg_plan::bind::ResultColumn;
pub use spg_run::{ResultBatch, SystemCatalog};
pub use spg_store::PendingCommit;
pub use transaction::TransactionStatus;
