//! Tests of the restore probe.
