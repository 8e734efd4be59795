//! The repository's rules, as functions over file contents; `tests/tidy.rs` applies them to this repository.
//!
//! Each rule takes text and gives back what is wrong with it, so that each is tested on text that breaks it.

mod layers;
mod measure;
mod modules;
mod source;

pub use layers::{Manifest, layer_violations};
pub use measure::{Length, functions};
pub use modules::{declared, parents};
pub use source::{Source, unsafe_allowed};
