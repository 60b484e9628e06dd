//! Which kernel runs, which is installed, and whether a restart is asked for.
//!
//! `/run/reboot-required` is made by hooks of some packages that may be missing, so the kernels are
//! compared as well. Only kernels of the flavour that runs are compared: `cloud-amd64` is no newer
//! `amd64`. In a container the kernel is that of another host, and nothing is said about it.

use shared::fact::Value;
use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::processes::Processes;
use crate::probe::{Seen, container};
use shared::version;

const REBOOT: &str = "/run/reboot-required";
const BOOT: &str = "/boot";
const LIVE_PATCHES: &str = "/sys/kernel/livepatch";
const MODULES: &str = "/usr/lib/modules";

/// States the facts of kernels and restarts.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) {
    if let Some(asked) = exists(host, seen, REBOOT) {
        seen.state("reboot_required", Value::Flag(asked));
    }
    let processes = Processes::look(host, seen);
    let Some(container) = container::look(host, seen, processes.as_ref()) else {
        return;
    };
    if container {
        let why = Some("a container runs on the kernel of another host");
        seen.unseen(
            Means::Syscall,
            Unseen::new("uname", Status::Unsupported, why),
        );
        return;
    }
    let running = seen.note(Means::Syscall, "uname", host.kernel_release());
    let installed = installed(host, seen);
    let flavour_wanted = running.as_deref().map(flavour);
    let newest = installed
        .iter()
        .filter(|release| flavour_wanted.is_none_or(|wanted| flavour(release) == wanted))
        .max_by(|a, b| version::compare(a, b));
    if let Some(newest) = newest {
        seen.state("kernel_newest", Value::Text(newest.clone()));
    }
    if let (Some(running), Some(newest)) = (&running, newest) {
        seen.state("kernel_current", Value::Flag(running == newest));
    }
    if let Some(running) = running {
        seen.state("kernel_running", Value::Text(running));
    }
    state_live_patches(host, seen);
}

/// Patches in the memory of the kernel that runs. They fix single functions: the kernel is no newer
/// one for it.
///
/// Source: Documentation/ABI/testing/sysfs-kernel-livepatch of Linux.
fn state_live_patches(host: &dyn Host, seen: &mut Seen) {
    let names = match host.list(LIVE_PATCHES) {
        // A kernel without live patches, where the folder of its settings is there.
        Err(unseen) if unseen.is_absent() && host.stat("/sys/kernel").is_ok() => Ok(Vec::new()),
        names => names,
    };
    let Some(names) = seen.note(Means::File, LIVE_PATCHES, names) else {
        return;
    };
    let mut records = Vec::new();
    for name in names {
        let path = format!("{LIVE_PATCHES}/{name}/enabled");
        let Some(enabled) = seen.note(Means::File, &path, host.read(&path, 64)) else {
            continue;
        };
        let fields = [
            ("name", Value::Text(name)),
            ("enabled", Value::Flag(enabled.trim_ascii() == b"1")),
        ];
        records.push(fields.map(|(name, value)| (name.to_owned(), value)).into());
    }
    seen.state_list("live_patches", records);
}

fn exists(host: &dyn Host, seen: &mut Seen, path: &str) -> Option<bool> {
    match host.stat(path) {
        Err(unseen) if unseen.is_absent() => {
            seen.unseen(Means::File, unseen);
            Some(false)
        }
        stat => seen.note(Means::File, path, stat).map(|_| true),
    }
}

/// Releases of the installed kernels: from `/boot`, or where a distribution keeps them elsewhere.
fn installed(host: &dyn Host, seen: &mut Seen) -> Vec<String> {
    let names = seen.note(Means::File, BOOT, host.list(BOOT));
    let mut releases: Vec<String> = names
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.strip_prefix("vmlinuz-"))
        .filter(|release| is_release(release))
        .map(str::to_owned)
        .collect();
    if releases.is_empty() {
        let names = seen.note(Means::File, MODULES, host.list(MODULES));
        releases = names.unwrap_or_default();
        releases.retain(|release| {
            is_release(release) && host.stat(&format!("{MODULES}/{release}/vmlinuz")).is_ok()
        });
    }
    releases
}

/// A release begins with its number; copies and rescue images are no releases of their own.
fn is_release(text: &str) -> bool {
    let copy = [
        ".old",
        ".bak",
        ".sig",
        ".signed",
        ".efi",
        ".dpkg-tmp",
        ".dpkg-new",
    ];
    text.starts_with(|c: char| c.is_ascii_digit())
        && !text.contains("-rescue-")
        && !copy.iter().any(|ending| text.ends_with(ending))
}

/// What follows the numbers: `cloud-amd64` in `6.1.0-37-cloud-amd64`.
fn flavour(release: &str) -> &str {
    let mut rest = release;
    while rest.starts_with(|c: char| c.is_ascii_digit()) {
        rest = rest.split_once('-').map_or("", |(_, rest)| rest);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavours_and_releases() {
        for (release, expected) in [
            ("6.1.0-37-amd64", "amd64"),
            ("6.1.0-37-cloud-amd64", "cloud-amd64"),
            ("6.8.0-45-generic", "generic"),
            ("5.14.0-427.el9.x86_64", ""),
            ("6.1", ""),
            ("", ""),
            ("x-1", "x-1"),
        ] {
            assert_eq!(flavour(release), expected, "{release}");
        }
        assert!(is_release("6.1.0-37-amd64"));
        for bad in ["linux", "6.1.old", "0-rescue-3f", "", "6.1.0-37-amd64.bak"] {
            assert!(!is_release(bad), "{bad}");
        }
    }
}
