//! The life of an attestation in the collector: admitted, entered, evaluated, shown.
//!
//! The order of the modules is the order of that life and the only permitted direction: a module
//! names only modules above it.
#![forbid(unsafe_code)]

pub mod fault;
pub mod config;
pub mod authority;
pub mod catalog;
pub mod feed;
pub mod fleet;
pub mod inventory;
pub mod register;
pub mod admit;
pub mod ledger;
pub mod criteria;
pub mod evaluate;
pub mod status;
pub mod follow;
pub mod reevaluate;
pub mod population;
pub mod assess;
pub mod drift;
pub mod alert;
pub mod report;
pub mod pack;
pub mod observer;
pub mod serve;

/// Judging evidence makes and drops many small things on all processors at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
