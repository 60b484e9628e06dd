//! Updates that dnf installs by itself: what is switched on, and how it last went.
//!
//! No file says when dnf-automatic succeeded last: its history has a transaction only when there
//! was something to install. systemd knows it of the time since the host was started.
//!
//! Source: dnf-automatic(8), dnf5-automatic(8).

use shared::fact::Value;
use shared::observation::{Means, Status};

use super::dnf_config::{flag, sections};
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::text;
use crate::probe::units::service_unit;

/// Packages that bring it along.
const PACKAGES: [&str; 2] = ["dnf-automatic", "dnf5-plugin-automatic"];
/// Settings, the strongest last.
const SETTINGS: [&str; 2] = [
    "/usr/share/dnf5/dnf5-plugins/automatic.conf",
    "/etc/dnf/automatic.conf",
];
const TIMERS_WANTED: &str = "/etc/systemd/system/timers.target.wants";
/// A way to start it.
struct Way {
    timer: &'static str,
    service: &'static str,
    /// It installs whatever the settings say.
    always: bool,
}
const WAYS: [Way; 3] = [
    Way {
        timer: "dnf-automatic.timer",
        service: "dnf-automatic.service",
        always: false,
    },
    Way {
        timer: "dnf-automatic-install.timer",
        service: "dnf-automatic-install.service",
        always: true,
    },
    Way {
        timer: "dnf5-automatic.timer",
        service: "dnf5-automatic.service",
        always: false,
    },
];

/// States whether updates are installed by themselves, and when that last went well.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, has: &dyn Fn(&str) -> bool) {
    let installed = PACKAGES.into_iter().find(|name| has(name));
    let tool = installed.unwrap_or("none");
    seen.state("automatic_tool", Value::Text(tool.to_owned()));
    if installed.is_none() {
        seen.state("automatic_enabled", Value::Flag(false));
        return;
    }
    let apply = apply(host, seen);
    let mut enabled = Some(false);
    for way in &WAYS {
        let path = format!("{TIMERS_WANTED}/{}", way.timer);
        let stat = host.stat(&path);
        let absent = stat.as_ref().is_err_and(Unseen::is_absent);
        let applies = match seen.note(Means::File, &path, stat) {
            Some(_) if way.always => Some(true),
            Some(_) => apply,
            None if absent => continue,
            None => None,
        };
        if applies == Some(true) {
            state_service(host, seen, way.service);
        }
        enabled = [enabled, applies]
            .into_iter()
            .find(|one| *one == Some(true))
            .unwrap_or(applies);
    }
    if let Some(enabled) = enabled {
        seen.state("automatic_enabled", Value::Flag(enabled));
        // It takes from every repository, all updates or those for security.
        seen.state("automatic_security", Value::Flag(enabled));
    }
}

/// Whether the settings say that updates are installed; `None` when they were not read.
fn apply(host: &dyn Host, seen: &mut Seen) -> Option<bool> {
    let mut apply = Some(false);
    for path in SETTINGS {
        let set = text(host, path).and_then(|text| {
            let sections = sections(&text)
                .map_err(|why| Unseen::new(path, Status::Unsupported, Some(&why)))?;
            let pairs = sections.iter().filter(|(name, _)| name == "commands");
            let mut pairs = pairs.flat_map(|(_, pairs)| pairs).rev();
            let set = pairs.find(|(name, _)| name == "apply_updates");
            Ok(set.map(|(_, value)| flag(value)))
        });
        let absent = set.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, path, set) {
            Some(Some(set)) => apply = set,
            None if !absent => apply = None,
            _ => {}
        }
    }
    apply
}

fn state_service(host: &dyn Host, seen: &mut Seen, name: &str) {
    let service = seen.note(
        Means::Socket,
        &format!("systemd {name}"),
        service_unit(host, name),
    );
    // systemd tells only how it ended last, so an error since the last success is not missed.
    seen.state("automatic_log_read", Value::Flag(service.is_some()));
    let Some(Some(service)) = service else {
        return;
    };
    if let Some(started) = service.started {
        seen.state("automatic_last_run", Value::Instant(started));
    }
    let Some(ended) = service.ended else {
        return;
    };
    match (service.result.as_deref(), service.status) {
        (Some("success"), Some(0)) => seen.state("automatic_last_success", Value::Instant(ended)),
        (Some(_), _) => seen.state("automatic_last_error", Value::Instant(ended)),
        (None, _) => {}
    }
}
