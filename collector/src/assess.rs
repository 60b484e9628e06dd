//! From findings to controls: as of an instant, and over a period, in a scope, under a statement.
//!
//! Three things are told apart everywhere and never share a field: what was *collected* (is there
//! evidence that counts, of how many hosts), the *finding* (what checks say of it) and the
//! *conclusion* (what a named person decided; empty stays empty).
//!
//! Everything here is a pure function of the catalogue, what people laid down ([`Given`]), what the
//! checks said and an instant or a period, so the same answer comes out for ever. A period is
//! computed from changes of verdict alone: nothing is sampled.

mod given;
mod decided;
mod asked;
mod instant;
mod tally;
mod line;
mod period;
mod desk;

pub use asked::{Asked, AskedError};
pub use desk::{AnswerError, Desk, Edition, changed_checks, expected, in_force};
pub use given::{
    Acknowledgement, Applicability, Brought, Exception, Given, Open, Place, Sla, Window,
};
pub use instant::{
    Assessment, CheckAssessment, Collected, ControlAssessment, Detail, Excused, Found, Hosts,
    Machines, Named,
};
pub use line::{Deviation, Ending, Known, Line, Piece, Shares, deviations, line, longest_gap};
pub use period::{
    CheckPeriod, ControlPeriod, Gap, HostPeriod, Input, LeftOut, Period, Source, Spans, Spent,
    period,
};
pub use tally::Tally;

#[cfg(test)]
mod tests;
