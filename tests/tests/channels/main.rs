//! Alert channels against receivers that speak their language: what arrives, and what does not.
#![expect(
    clippy::disallowed_methods,
    reason = "tests run real programs and read real clocks"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod alertmanager;
mod mail;
mod receiver;
mod site;
mod syslog;
mod web;
