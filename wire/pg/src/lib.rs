//! The PostgreSQL protocol, version 3, in front of a database.
//!
//! A connection is one task: [`login`](crate) takes it from its first packet through SCRAM to a session, `connection` reads
//! messages and calls the session on the same task, `client` writes what the session produces. Arrays become DataRow
//! messages in `rows`, without a value object per cell. What must hold:
//!
//! - Lengths are checked before anything is allocated, and buffers grow with what has arrived, not with what is promised.
//! - Nothing that a client sends makes the server panic: the decoder is checked read by read.
//! - Output is bounded: past 64 KiB the session waits for its client.
//! - A commit is acknowledged after it is durable, without a thread that waits for it.

mod client;
mod connection;
mod engine;
mod input;
mod listener;
mod login;
mod message;
mod output;
mod registry;
mod response;
mod rows;
mod scram;
mod startup;

pub use engine::{Commit, Engine, Host, Interrupt};
pub use listener::{Config, PgServer};
