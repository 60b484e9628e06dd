//! The life of an observation on a host: due, probed, attested, spooled, shipped, forgotten.
//!
//! The order of the modules is the order of that life and the only permitted direction: a module
//! names only modules above it.

pub mod schedule;
pub mod config;
pub mod host;
pub mod probe;
pub mod connection;
pub mod identity;
pub mod attest;
pub mod spool;
pub mod ship;
pub mod run;
pub mod command;
