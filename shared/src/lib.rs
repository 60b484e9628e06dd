//! What agent, collector and verifier share: formats, keys, the Merkle tree and durable files.
//!
//! The order of the modules is the only permitted direction: a module names only modules above it.
//! Nothing here knows a network, a database or an async runtime. `FORMAT.md` beside this folder
//! describes every byte, so that a stranger can write another verifier.
#![forbid(unsafe_code)]

pub mod cause;
pub mod limits;
pub mod words;
pub mod time;
pub mod exchange;
pub mod version;
pub mod id;
pub mod fact;
pub mod observation;
pub mod key;
pub mod canary;
pub mod dsse;
pub mod attestation;
pub mod decision;
pub mod observed;
pub mod merkle;
pub mod checkpoint;
pub mod tile;
pub mod leaf;
pub mod receipt;
pub mod stream;
pub mod wire;
pub mod durable;
pub mod pack;
pub mod verify;
