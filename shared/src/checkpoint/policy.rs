//! Policy files: which ledgers are accepted, and which witnesses must have cosigned.
//!
//! ```text
//! log <key> [<url>]
//! witness <name> <key> [<url>]
//! group <name> <number|any|all> <member>..       members were defined above, each used once
//! quorum <name|none>                             exactly once
//! ```
//!
//! Fields stand apart by spaces or tabs; empty lines and lines that begin with `#` are passed over.
//!
//! Source: C2SP tlog-policy.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::note::{Algorithm, KeyError, NoteError, VerifierKey};
use super::{Verified, number};
use crate::limits;

/// A policy file cannot be used. Whoever wrote it must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The file is longer than is read, or holds a control character.
    #[error("the text is no policy: too long, or with control characters")]
    Form,
    /// The line with this number, from 1, has another form.
    #[error("line {0} of the policy is none of `log`, `witness`, `group`, `quorum`")]
    Line(usize),
    /// The key in a line is no key for its purpose.
    #[error("line {line} of the policy holds no key for a {purpose}")]
    Key {
        /// The number of the line, from 1.
        line: usize,
        /// `log` or `witness`.
        purpose: &'static str,
        /// What is wrong with it; `None` when it is a key of the other kind.
        source: Option<KeyError>,
    },
    /// A name or a key is given twice, or a member is used twice.
    #[error("line {line} of the policy repeats `{name}`")]
    Twice {
        /// The number of the line, from 1.
        line: usize,
        /// What is repeated.
        name: String,
    },
    /// A name was not defined above.
    #[error("line {line} of the policy names `{name}`, which is not defined above it")]
    Unknown {
        /// The number of the line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// There is no quorum line.
    #[error("the policy has no `quorum` line; `quorum none` asks for no witness")]
    NoQuorum,
}

/// Which checkpoints are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    /// Witnesses and groups in the order of the file, so that members stand before their group.
    named: Vec<(String, Rule)>,
    /// The place of the quorum in `named`; `None` asks for no witness.
    quorum: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Witness(VerifierKey),
    Group { least: usize, members: Vec<usize> },
}

/// A checkpoint that a policy accepts. Only [`Policy::accept`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    verified: Verified,
    cosigned: BTreeMap<String, u64>,
}

impl Accepted {
    /// The checkpoint.
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The witnesses that cosigned, by their name in the policy, and when in seconds since 1970.
    pub const fn cosigned(&self) -> &BTreeMap<String, u64> {
        &self.cosigned
    }
}

impl Policy {
    /// The policy that accepts one ledger and asks for no witness.
    #[must_use]
    pub fn of_log(log: VerifierKey) -> Self {
        let logs = vec![log];
        Self {
            logs,
            ..Self::default()
        }
    }

    /// The keys of the accepted ledgers.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Opens a signed checkpoint if one of the ledgers signed it and the quorum cosigned it.
    ///
    /// # Errors
    ///
    /// [`NoteError`]; [`NoteError::OtherOrigin`] or [`NoteError::Unsigned`] when no ledger of the
    /// policy signed it, [`NoteError::Quorum`] when witnesses are missing.
    pub fn accept(&self, note: &str) -> Result<Accepted, NoteError> {
        let mut refused = NoteError::Unsigned("a ledger of the policy".to_owned());
        let mut opened = None;
        for log in &self.logs {
            match Verified::open(note, log) {
                Ok(verified) => opened = Some(verified),
                Err(forged @ NoteError::Forged(_)) => return Err(forged),
                Err(error) => refused = error,
            }
        }
        let verified = opened.ok_or(refused)?;
        let mut cosigned = BTreeMap::new();
        let mut met = Vec::with_capacity(self.named.len());
        for (name, rule) in &self.named {
            met.push(match rule {
                Rule::Witness(key) => match verified.cosigned_by(key)? {
                    Some(time) => cosigned.insert(name.clone(), time).is_none(),
                    None => false,
                },
                Rule::Group { least, members } => {
                    let met = |member: &&usize| met.get(**member) == Some(&true);
                    *least <= members.iter().filter(met).count()
                }
            });
        }
        match self.quorum {
            Some(place) if met.get(place) != Some(&true) => {
                let name = self.named.get(place).map(|(name, _)| name.clone());
                Err(NoteError::Quorum(name.unwrap_or_default()))
            }
            _ => Ok(Accepted { verified, cosigned }),
        }
    }

    fn place(&self, line: usize, name: &str) -> Result<usize, PolicyError> {
        let place = self.named.iter().position(|(known, _)| known == name);
        place.ok_or_else(|| PolicyError::Unknown {
            line,
            name: name.to_owned(),
        })
    }

    fn define(&mut self, line: usize, name: &str, rule: Rule) -> Result<(), PolicyError> {
        if name == "none" || self.place(line, name).is_ok() {
            return Err(twice(line, name));
        }
        self.named.push((name.to_owned(), rule));
        Ok(())
    }

    fn add_log(&mut self, line: usize, text: &str) -> Result<(), PolicyError> {
        let log = key(line, text, Algorithm::Ed25519, "log")?;
        if self.logs.iter().any(|known| known.key() == log.key()) {
            return Err(twice(line, log.name()));
        }
        self.logs.push(log);
        Ok(())
    }

    fn add_witness(&mut self, line: usize, name: &str, text: &str) -> Result<(), PolicyError> {
        let witness = key(line, text, Algorithm::Cosignature, "witness")?;
        let same = |(_, rule): &(_, Rule)| match rule {
            Rule::Witness(known) => known.key() == witness.key(),
            Rule::Group { .. } => false,
        };
        if self.named.iter().any(same) {
            return Err(twice(line, witness.name()));
        }
        self.define(line, name, Rule::Witness(witness))
    }

    fn add_group(&mut self, line: usize, name: &str, rest: &[&str]) -> Result<(), PolicyError> {
        let Some((least, names)) = rest.split_first() else {
            return Err(PolicyError::Line(line));
        };
        let least = match *least {
            "any" => Some(1),
            "all" => Some(names.len()),
            count => number(count).and_then(|count| usize::try_from(count).ok()),
        };
        let fits = |least: &usize| 1 <= *least && *least <= names.len();
        let least = least.filter(fits).ok_or(PolicyError::Line(line))?;
        let mut members = Vec::new();
        for member in names {
            let place = self.place(line, member)?;
            let used = |(_, rule): &(_, Rule)| match rule {
                Rule::Witness(_) => false,
                Rule::Group { members, .. } => members.contains(&place),
            };
            if members.contains(&place) || self.named.iter().any(used) {
                return Err(twice(line, member));
            }
            members.push(place);
        }
        self.define(line, name, Rule::Group { least, members })
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let control = |byte: u8| byte < b' ' && byte != b'\n' && byte != b'\t' || byte == 0x7f;
        if limits::NOTE_BYTES_MAX < text.len() || text.bytes().any(control) {
            return Err(PolicyError::Form);
        }
        let mut policy = Self::default();
        let mut quorum = false;
        for (line, fields) in (1..).zip(text.split('\n')) {
            let fields = fields.split([' ', '\t']).filter(|field| !field.is_empty());
            let fields: Vec<&str> = fields.collect();
            match *fields.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", key] | ["log", key, _] => policy.add_log(line, key)?,
                ["witness", name, key] | ["witness", name, key, _] => {
                    policy.add_witness(line, name, key)?;
                }
                ["group", name, ref rest @ ..] => policy.add_group(line, name, rest)?,
                ["quorum", name] if quorum => return Err(twice(line, name)),
                ["quorum", "none"] => quorum = true,
                ["quorum", name] => {
                    policy.quorum = Some(policy.place(line, name)?);
                    quorum = true;
                }
                _ => return Err(PolicyError::Line(line)),
            }
        }
        if quorum {
            Ok(policy)
        } else {
            Err(PolicyError::NoQuorum)
        }
    }
}

fn twice(line: usize, name: &str) -> PolicyError {
    PolicyError::Twice {
        line,
        name: name.to_owned(),
    }
}

/// Reads the key of a line and checks that it is of the kind that its purpose needs.
fn key(
    line: usize,
    text: &str,
    wanted: Algorithm,
    purpose: &'static str,
) -> Result<VerifierKey, PolicyError> {
    let refused = |source| PolicyError::Key {
        line,
        purpose,
        source,
    };
    let key: VerifierKey = text.parse().map_err(|error| refused(Some(error)))?;
    if key.algorithm() == wanted {
        Ok(key)
    } else {
        Err(refused(None))
    }
}
