//! Where a copy is, by the mounts of the host: beside its data, on another file system, or on
//! another machine.
//!
//! Source: `proc_pid_mountinfo(5)`.

use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::Seen;

const MOUNTS: &str = "/proc/self/mountinfo";
const MOUNTS_BYTES_MAX: u64 = 1024 * 1024;
/// File systems whose bytes are on another machine. `fuse` may be anything and is not among them.
const NETWORK: [&str; 18] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "fuse.glusterfs",
    "fuse.goofys",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "virtiofs",
];

/// Where a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the file system of `/` or of declared data.
    Local,
    /// On another file system of this host.
    Mounted,
    /// On a network file system or another machine.
    Network,
}

impl Place {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Mounted => "mounted",
            Self::Network => "network",
        }
    }
}

/// The mounts of the host.
#[derive(Debug)]
pub(super) struct Mounts(Vec<Mount>);

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Whole path.
    point: String,
    /// Device, as its numbers with `:`.
    device: String,
    kind: String,
}

impl Mounts {
    /// Reads the mounts; `None` when they cannot be seen.
    pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> Option<Self> {
        let bytes = host.read(MOUNTS, MOUNTS_BYTES_MAX).and_then(|bytes| {
            parse(&String::from_utf8_lossy(&bytes))
                .ok_or_else(|| Unseen::new(MOUNTS, Status::Malformed, None))
        });
        seen.note(Means::File, MOUNTS, bytes).map(Self)
    }

    /// Where `path` is, as against the declared `data`. Symbolic links are not followed: the path
    /// is the one that the settings name.
    pub(super) fn place<'a>(
        &self,
        path: &str,
        mut data: impl Iterator<Item = &'a str>,
    ) -> Option<Place> {
        let mount = self.of(path)?;
        if NETWORK.contains(&mount.kind.as_str()) {
            return Some(Place::Network);
        }
        let same = |path: &str| {
            self.of(path)
                .is_some_and(|other| other.device == mount.device)
        };
        if same("/") || data.any(same) {
            Some(Place::Local)
        } else {
            Some(Place::Mounted)
        }
    }

    /// The mount that `path` is on: of those with the longest point the last one.
    fn of(&self, path: &str) -> Option<&Mount> {
        let holds = |mount: &&Mount| is_below(path, &mount.point);
        self.0
            .iter()
            .filter(holds)
            .max_by_key(|mount| mount.point.len())
    }
}

/// Whether a path is a folder, or in it.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// ```text
/// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
/// ```
fn parse(text: &str) -> Option<Vec<Mount>> {
    let line = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        let (device, _root, point) = (front.next()?, front.next()?, front.next()?);
        Some(Mount {
            point: unescaped(point),
            device: device.to_owned(),
            kind: back.split(' ').next()?.to_owned(),
        })
    };
    let mounts: Option<Vec<Mount>> = text.lines().map(line).collect();
    mounts.filter(|mounts| !mounts.is_empty())
}

/// Undoes the four escapes of a mount point.
fn unescaped(text: &str) -> String {
    let text = text.replace("\\040", " ").replace("\\011", "\t");
    text.replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:45 / /mnt/vault rw shared:9 - nfs4 nas:/vault rw
31 22 8:1 / /mnt/usb\\040disk rw - ext4 /dev/sdb1 rw
32 22 8:16 / /var/lib/mysql rw - xfs /dev/sdc rw
33 22 8:16 /bind /mnt/bind rw - xfs /dev/sdc rw
34 30 8:32 / /mnt/vault/inner rw - xfs /dev/sdd rw
";

    #[test]
    fn places() {
        let mounts = Mounts(parse(TEXT).unwrap());
        for (path, expected) in [
            ("/srv/restic", Place::Local),
            ("/mnt/vault", Place::Network),
            ("/mnt/vault/host1", Place::Network),
            ("/mnt/vault/inner/x", Place::Mounted),
            ("/mnt/vaults", Place::Local),
            ("/mnt/usb disk/x", Place::Mounted),
            ("/mnt/bind/x", Place::Local),
        ] {
            let place = mounts.place(path, ["/var/lib/mysql"].into_iter());
            assert_eq!(place, Some(expected), "{path}");
        }
        assert_eq!(
            mounts.place("/mnt/bind", [].into_iter()),
            Some(Place::Mounted)
        );
        for bad in ["", "x", "1 2 3:4 / /a rw ext4", "1 2 - ext4"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
