//! Values of settings: what may stand in them, and what to write instead.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer};
use shared::id::AgentId;

/// Longest name of a host (RFC 1035, section 2.3.4, as text).
const HOST_NAME_BYTES_MAX: usize = 253;

/// A whole number from 1 to `MAX`.
pub(super) fn upto<'de, const MAX: u64, T: TryFrom<u64>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    let given = i64::deserialize(from)?;
    let number = u64::try_from(given).ok();
    let number = number.filter(|number| (1..=MAX).contains(number));
    let fits = number.and_then(|number| T::try_from(number).ok());
    fits.ok_or_else(|| {
        let what = format!("{given} is out of range");
        refused(&what, &format!("write a whole number from 1 to {MAX}"))
    })
}

/// The folder of a catalogue, which was a setting once: empty, or refused.
pub(super) fn decided_elsewhere<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
    let folder = String::deserialize(from)?;
    if folder.is_empty() {
        return Ok(());
    }
    let hint = format!(
        "take the line away, and put it in force: \
         `evident-collector catalogue adopt --catalog {folder} --reason TEXT`"
    );
    let what = "which catalogue is in force is decided in the ledger, not here";
    Err(refused(what, &hint))
}

/// An address with its port, or nothing in an empty text.
pub(super) fn no_or_address<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let given = String::deserialize(from)?;
    if given.is_empty() {
        return Ok(None);
    }
    given.parse().map(Some).map_err(|_form| {
        let what = format!("{given:?} is no address with a port");
        refused(
            &what,
            "write e.g. \"0.0.0.0:6514\", or \"\" for no listener",
        )
    })
}

/// A name that can stand in a certificate.
pub(super) fn host_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if !name.is_empty() && name.len() <= HOST_NAME_BYTES_MAX && name.chars().all(plain) {
        return Ok(name);
    }
    let what = format!("{name:?} is no host name and no address");
    let hint = "write letters, digits, `.` and `-`, and `:` in addresses, 253 at most";
    Err(refused(&what, hint))
}

pub(super) fn host_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    /// One name, so that what is wrong is marked alone.
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "host_name")] String);

    let names = Vec::<Name>::deserialize(from)?;
    if names.is_empty() {
        let hint = "name at least one, as agents write it in their settings";
        return Err(refused("there is no name in the list", hint));
    }
    Ok(names.into_iter().map(|name| name.0).collect())
}

/// Names of agents.
pub(super) fn agents<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AgentId>, D::Error> {
    /// One name, so that what is wrong is marked alone.
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "agent")] AgentId);

    let names = Vec::<Name>::deserialize(from)?;
    Ok(names.into_iter().map(|name| name.0).collect())
}

fn agent<'de, D: Deserializer<'de>>(from: D) -> Result<AgentId, D::Error> {
    let name = String::deserialize(from)?;
    name.parse().map_err(|_form| {
        let what = format!("{name:?} is no name of an agent");
        refused(
            &what,
            "write it as the log host was enrolled, e.g. \"log-1\"",
        )
    })
}

/// Refuses a value with what is wrong and what to do about it.
pub(super) fn refused<E: serde::de::Error>(what: &str, hint: &str) -> E {
    E::custom(format!("{what}\nhint: {hint}"))
}
