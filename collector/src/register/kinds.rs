//! All registers, in the order in which people see them.

use super::kind::Kind;

mod knowledge;
mod improvement;
mod looking;
mod planning;
mod population;
mod tolerance;

pub(super) use planning::reaches;

/// All registers.
pub static KINDS: &[&Kind] = &[
    &tolerance::EXCEPTION,
    &tolerance::ACKNOWLEDGEMENT,
    &tolerance::SILENCE,
    &population::GROUP,
    &population::SCOPE,
    &population::INVENTORY,
    &knowledge::APPLICABILITY,
    &knowledge::DOCUMENT,
    &knowledge::REVIEW,
    &improvement::NONCONFORMITY,
    &looking::AUDIT_PROGRAMME,
    &looking::AUDIT,
    &looking::MANAGEMENT_REVIEW,
    &planning::RISK,
    &planning::OBJECTIVE,
    &planning::SURVEILLANCE,
];
