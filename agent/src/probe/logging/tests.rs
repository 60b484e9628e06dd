//! The logging probe on recorded hosts.
