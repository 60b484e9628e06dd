//! evident-collector: admits evidence, keeps it and judges it.

fn main() {}
