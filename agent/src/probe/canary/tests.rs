//! Tests of the canary probe.
