//! Kernel auditing, as the kernel tells over netlink: `audit_request_status(3)`.

use shared::observation::Status;

use super::rule::{self, Machine, Rule};
use crate::host::{Host, Socket, Unseen};

/// `AUDIT_GET` in linux/audit.h: asks for the status, and changes nothing.
const AUDIT_GET: u16 = 1000;
/// `AUDIT_LIST_RULES`: asks for the rules that are loaded, and changes nothing.
const AUDIT_LIST_RULES: u16 = 1013;
/// `NLM_F_REQUEST`. No acknowledgement is asked for: it would come before the answer.
const REQUEST: u16 = 1;
/// Length of the header of a netlink message.
const HEADER_BYTES: u32 = 16;

/// The state of kernel auditing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Audit {
    /// 0 off, 1 on, 2 on and locked until restart.
    pub(super) enabled: u32,
    /// What the kernel does when it cannot record: 0 nothing, 1 print, 2 panic.
    pub(super) failure: u32,
    /// Process of the daemon that has registered; 0 when none has.
    pub(super) daemon: u32,
    /// Most records in a second; 0 for any number.
    pub(super) rate_limit: u32,
    /// How many records may wait.
    pub(super) backlog_limit: u32,
    /// Records lost since the host started.
    pub(super) lost: u32,
    /// Records that wait.
    pub(super) backlog: u32,
}

/// Asks the kernel how auditing stands.
pub(super) fn status(host: &dyn Host) -> Result<Audit, Unseen> {
    let reply = host.ask(Socket::Audit, &request(AUDIT_GET))?;
    read(&reply).ok_or_else(|| Unseen::new("netlink audit", Status::Malformed, None))
}

/// Asks the kernel for its rules, and of which machine they are.
pub(super) fn rules(host: &dyn Host) -> Result<(Machine, Vec<Rule>), Unseen> {
    let reply = host.ask(Socket::Audit, &request(AUDIT_LIST_RULES))?;
    let malformed = || Unseen::new("netlink audit rules", Status::Malformed, None);
    rule::loaded(&reply).ok_or_else(malformed)
}

#[expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the order of the host"
)]
fn request(kind: u16) -> Vec<u8> {
    let mut request = HEADER_BYTES.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend(1_u32.to_ne_bytes());
    request.extend(0_u32.to_ne_bytes());
    request
}

/// Reads the answer: a header and 8 numbers, to which newer kernels add some.
#[expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the order of the host"
)]
fn read(reply: &[u8]) -> Option<Audit> {
    let kind = reply.get(4..)?.first_chunk()?;
    if u16::from_ne_bytes(*kind) != AUDIT_GET {
        return None;
    }
    let (numbers, _rest) = reply.get(16..)?.as_chunks::<4>();
    let numbers: Vec<u32> = numbers.iter().copied().map(u32::from_ne_bytes).collect();
    match numbers.as_slice() {
        &[
            _mask,
            enabled,
            failure,
            daemon,
            rate_limit,
            backlog_limit,
            lost,
            backlog,
            ..,
        ] => Some(Audit {
            enabled,
            failure,
            daemon,
            rate_limit,
            backlog_limit,
            lost,
            backlog,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_old_and_new_kernels() {
        let mut reply = vec![60, 0, 0, 0, 0xe8, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        for number in 1..=11_u8 {
            reply.extend([number, 0, 0, 0]);
        }
        let expected = Audit {
            enabled: 2,
            failure: 3,
            daemon: 4,
            rate_limit: 5,
            backlog_limit: 6,
            lost: 7,
            backlog: 8,
        };
        assert_eq!(read(&reply), Some(expected));
        assert_eq!(read(&reply[..16 + 32]), Some(expected));
        assert_eq!(read(&reply[..16 + 31]), None);
        assert_eq!(read(&[]), None);
        reply[4] = 2;
        assert_eq!(read(&reply), None, "an error is no answer");
    }
}
