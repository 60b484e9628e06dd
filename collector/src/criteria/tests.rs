//! Tests of the catalogue in force.
