//! Leaf data: the five lines that the ledger's tree is made of.
//!
//! ```text
//! evident-leaf/v1
//! <kind>
//! <agent> <generation> <seq>          decisions: "- 0 <number>"; seen by the collector: "- 1 .."
//! sha256:<id of the DSSE file>
//! <time of receipt, milliseconds since 1970>
//! ```
//!
//! Each line ends in a newline. A leaf holds only the name of the evidence, so the evidence can be
//! erased after its retention while the tree stays whole.

use std::fmt;
use std::str::FromStr;

use crate::id::{AgentId, Digest};
use crate::limits;
use crate::merkle;
use crate::time::Timestamp;

const HEAD: &str = "evident-leaf/v1";

/// A text is no leaf data. Whoever wrote it must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is no leaf data of version 1: the {0} is wrong")]
pub struct LeafError(&'static str);

/// What an entry of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeafKind {
    /// An attestation of an agent.
    Evidence,
    /// The collector itself observed something of a host.
    Observed,
    /// An agent was enrolled and got a generation.
    Enrol,
    /// An agent's generation was ended.
    Revoke,
    /// A person decided something that changes an assessment.
    Decision,
    /// Checks, controls and their mapping came into force.
    Catalogue,
    /// The heads of all active streams at one hour.
    Roster,
    /// The contents of an earlier entry were erased.
    Redact,
    /// An evidence pack was cut.
    Pack,
}

impl LeafKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Evidence,
        Self::Observed,
        Self::Enrol,
        Self::Revoke,
        Self::Decision,
        Self::Catalogue,
        Self::Roster,
        Self::Redact,
        Self::Pack,
    ];

    /// The word in the second line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Observed => "observed",
            Self::Enrol => "enrol",
            Self::Revoke => "revoke",
            Self::Decision => "decision",
            Self::Catalogue => "catalogue",
            Self::Roster => "roster",
            Self::Redact => "redact",
            Self::Pack => "pack",
        }
    }
}

impl fmt::Display for LeafKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who numbered an entry, and which number it has there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeafOrigin {
    /// The stream of an agent.
    Agent {
        /// The agent.
        agent: AgentId,
        /// The generation of its key.
        generation: u64,
        /// The number in the stream.
        seq: u64,
    },
    /// The decisions of the collector and of its operators, numbered from 0.
    Collector {
        /// The number.
        number: u64,
    },
    /// What the collector itself observed of hosts, numbered from 0 apart from decisions: there
    /// are many of these, and a pack holds all decisions, however old.
    Observer {
        /// The number.
        number: u64,
    },
}

impl fmt::Display for LeafOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent {
                agent,
                generation,
                seq,
            } => write!(f, "{agent} {generation} {seq}"),
            Self::Collector { number } => write!(f, "- 0 {number}"),
            Self::Observer { number } => write!(f, "- 1 {number}"),
        }
    }
}

/// One leaf of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// What the entry is.
    pub kind: LeafKind,
    /// Who numbered it.
    pub origin: LeafOrigin,
    /// The SHA-256 of the DSSE file.
    pub id: Digest,
    /// When the collector received it.
    pub received: Timestamp,
}

impl Leaf {
    /// The hash of this leaf in the tree.
    #[must_use]
    pub fn hash(&self) -> Digest {
        merkle::leaf_hash(self.to_string().as_bytes())
    }

    /// Reads leaf data; exactly what [`Leaf`] prints is taken.
    ///
    /// # Errors
    ///
    /// [`LeafError`] for anything else.
    pub fn from_bytes(data: &[u8]) -> Result<Self, LeafError> {
        std::str::from_utf8(data)
            .map_err(|_not_text| LeafError("encoding"))?
            .parse()
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            origin,
            id,
            received,
        } = self;
        let received = received.unix_ms();
        write!(f, "{HEAD}\n{kind}\n{origin}\nsha256:{id}\n{received}\n")
    }
}

impl FromStr for Leaf {
    type Err = LeafError;

    fn from_str(text: &str) -> Result<Self, LeafError> {
        if limits::LEAF_BYTES_MAX < text.len() {
            return Err(LeafError("length"));
        }
        let lines: Vec<&str> = text.split('\n').collect();
        let [HEAD, kind, origin, id, received, ""] = *lines.as_slice() else {
            return Err(LeafError("number of lines or the first line"));
        };
        let kind = LeafKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind);
        let id = id.strip_prefix("sha256:").and_then(|id| id.parse().ok());
        let received = received.parse().ok();
        let leaf = Self {
            kind: kind.ok_or(LeafError("kind"))?,
            origin: parse_origin(origin).ok_or(LeafError("origin"))?,
            id: id.ok_or(LeafError("id"))?,
            received: received
                .and_then(|ms| Timestamp::from_unix_ms(ms).ok())
                .ok_or(LeafError("time of receipt"))?,
        };
        // Numbers can be written in several ways; only the way that is printed is taken.
        if leaf.to_string() == text {
            Ok(leaf)
        } else {
            Err(LeafError("form of a number"))
        }
    }
}

fn parse_origin(text: &str) -> Option<LeafOrigin> {
    let (agent, numbers) = text.split_once(' ')?;
    let (generation, seq) = numbers.split_once(' ')?;
    let (generation, seq) = (generation.parse().ok()?, seq.parse().ok()?);
    match (agent, generation) {
        ("-", 0) => return Some(LeafOrigin::Collector { number: seq }),
        ("-", 1) => return Some(LeafOrigin::Observer { number: seq }),
        _ => {}
    }
    let agent = agent.parse().ok()?;
    Some(LeafOrigin::Agent {
        agent,
        generation,
        seq,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../tests/vectors/chain/leaf.txt");

    #[test]
    fn the_recorded_leaf() {
        #[derive(serde::Deserialize)]
        struct Recorded {
            leaf: String,
            leaf_hash: Digest,
        }
        let recorded = include_str!("../../tests/vectors/chain/leaf.json");
        let recorded: Recorded = serde_json::from_str(recorded).unwrap();
        let leaf: Leaf = TEXT.parse().unwrap();
        assert_eq!(leaf.to_string(), TEXT);
        assert_eq!(recorded.leaf, TEXT);
        assert_eq!(leaf.hash(), recorded.leaf_hash);
        assert_eq!(leaf.kind, LeafKind::Evidence);
        let agent = "agent-0001".parse().unwrap();
        assert_eq!(
            leaf.origin,
            LeafOrigin::Agent {
                agent,
                generation: 1,
                seq: 0
            }
        );
        assert_eq!(leaf.received.unix_ms(), 1_767_323_046_123);
    }

    #[test]
    fn every_kind_reads_back() {
        for kind in LeafKind::ALL {
            let leaf = Leaf {
                kind,
                origin: LeafOrigin::Collector { number: u64::MAX },
                id: Digest::of(b"x"),
                received: Timestamp::default(),
            };
            assert_eq!(Leaf::from_bytes(leaf.to_string().as_bytes()), Ok(leaf));
        }
    }

    #[test]
    fn the_longest_leaf_is_within_the_limit() {
        let agent = "a".repeat(limits::AGENT_ID_BYTES_MAX).parse().unwrap();
        let leaf = Leaf {
            kind: LeafKind::Catalogue,
            origin: LeafOrigin::Agent {
                agent,
                generation: u64::MAX,
                seq: u64::MAX,
            },
            id: Digest::of(b"x"),
            received: Timestamp::from_unix_ms(253_402_207_200_000).unwrap(),
        };
        assert!(leaf.to_string().len() <= limits::LEAF_BYTES_MAX);
        assert_eq!(leaf.to_string().parse(), Ok(leaf));
    }

    #[test]
    fn only_one_written_form() {
        let bad = [
            String::new(),
            TEXT.trim_end().to_owned(),
            format!("{TEXT}\n"),
            format!("\u{feff}{TEXT}"),
            TEXT.replace("/v1", "/v2"),
            TEXT.replace("evidence", "Evidence"),
            TEXT.replace("evidence", "evidence "),
            TEXT.replace("evidence\n", "evidence\r\n"),
            TEXT.replace("evidence\n", ""),
            TEXT.replace("agent-0001 1 0", "agent-0001 1"),
            TEXT.replace("agent-0001 1 0", "agent-0001 1 0 0"),
            TEXT.replace("agent-0001 1 0", "agent-0001  1 0"),
            TEXT.replace("agent-0001 1 0", "agent-0001 01 0"),
            TEXT.replace("agent-0001 1 0", "agent-0001 1 +0"),
            TEXT.replace("agent-0001 1 0", "agent-0001 1 -1"),
            TEXT.replace("agent-0001 1 0", "agent-0001 1 18446744073709551616"),
            TEXT.replace("agent-0001 1 0", "Agent 1 0"),
            TEXT.replace("agent-0001 1 0", "- 2 0"),
            TEXT.replace("sha256:7a", "sha256:7A"),
            TEXT.replace("sha256:", "sha512:"),
            TEXT.replace("sha256:7a", "sha256:"),
            TEXT.replace("\n1767", "\n01767"),
            TEXT.replace("\n1767", "\n+1767"),
            TEXT.replace("\n1767", "\n9991767"),
            TEXT.replace("\n1767323046123", "\n-0"),
            format!("{TEXT}{}", "x".repeat(limits::LEAF_BYTES_MAX)),
        ];
        for bad in bad {
            assert!(bad.parse::<Leaf>().is_err(), "{bad:?}");
        }
        assert!(Leaf::from_bytes(b"evident-leaf/v1\n\xff").is_err());
    }
}
