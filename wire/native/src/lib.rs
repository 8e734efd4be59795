//! SPG's own protocol: frames `[u32 LE payload length][u8 op][payload]` in both directions.
//!
//! Served now: Ping, answered with a Pong that carries the same payload. Any other op is answered with an Error frame
//! (five characters of SQLSTATE, then the message in UTF-8), and the connection is closed. There is no log-in yet, so every
//! connection is held to what an unauthenticated one may use: one small buffer, one frame at a time, a time limit.

mod frame;
mod server;

pub use frame::{Frame, Op};
pub use server::NativeServer;
