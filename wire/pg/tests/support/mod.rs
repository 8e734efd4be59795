//! A server over an engine that answers by script, and a client that sees every byte.

#![allow(unreachable_pub, dead_code, missing_docs)]

pub mod client;
pub mod script;

pub use client::{Client, Message};
pub use script::start;
