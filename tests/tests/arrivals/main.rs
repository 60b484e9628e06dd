//! What only a collector can see, end to end: lines that arrive, restores that match, clocks.
#![expect(
    clippy::disallowed_methods,
    reason = "tests run the real programs and read real clocks"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first surprise"
)]

mod delivery;
mod offset;
mod recovery;
mod site;
