//! evident-verify: one pack and the trusted keys in, one verdict per claim out.

fn main() {}
