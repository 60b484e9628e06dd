//! evident-agent: gathers signed evidence on a host.

fn main() {}
