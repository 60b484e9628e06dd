//! The clock probe on recorded hosts.
