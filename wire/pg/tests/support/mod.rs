//! A server over an engine that answers by script, and a client that sees every byte.

#![allow(unreachable_pub, unused_imports, dead_code, missing_docs, clippy::unwrap_used)]

pub mod client;
pub mod script;

pub use client::{Client, Message};
pub use script::start;
