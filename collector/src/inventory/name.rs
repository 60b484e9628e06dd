//! Names and addresses of machines, as lists and evidence write them.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

/// Longest name of a machine: RFC 1035 section 2.3.4.
const NAME_BYTES_MAX: usize = 253;

/// A machine as somebody calls it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// By its name, in lower case, without a dot at the end.
    Name(String),
    /// By its address.
    Address(IpAddr),
}

impl Machine {
    /// Reads a name or an address; `None` for what is neither.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        if let Ok(address) = word.parse() {
            return Some(Self::Address(address));
        }
        let name = word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase();
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let label = |label: &str| !label.is_empty() && label.bytes().all(sign);
        // What has digits alone is an address that is written wrongly.
        let letters = name.bytes().any(|byte| byte.is_ascii_alphabetic());
        let good = name.len() <= NAME_BYTES_MAX && letters && name.split('.').all(label);
        good.then_some(Self::Name(name))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The first label of a name.
pub(crate) fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
