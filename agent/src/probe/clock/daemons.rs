//! The time daemons: which run and as whom, and which systemd starts.

use std::collections::BTreeSet;

use shared::fact::{Record, Value};
use shared::observation::Means;

use super::timesyncd::TIMESYNCD;
use crate::host::Host;
use crate::probe::processes::Processes;
use crate::probe::{Seen, container, settings, units};

/// Time daemons that are known by name; the process of `NTPsec` is named ntpd.
const DAEMONS: [&str; 5] = ["chronyd", "ntpd", "phc2sys", "ptp4l", TIMESYNCD];

/// The process of `OpenNTPD` is named ntpd too. One of these sockets is its own: ntpctl(8) as
/// Debian, Fedora and others build it.
const OPENNTPD: [&str; 4] = [
    "/run/openntpd.sock",
    "/run/ntpd.sock",
    "/var/run/ntpd.sock",
    "/var/lib/openntpd/run/ntpd.sock",
];

/// The services of time daemons by the names that distributions give them. Instances of
/// `phc2sys@.service` and `ptp4l@.service` carry the name of a network card and are not asked for.
const UNITS: [(&str, &str); 9] = [
    ("chrony.service", "chronyd"),
    ("chronyd.service", "chronyd"),
    ("ntp.service", "ntpd"),
    ("ntpd.service", "ntpd"),
    ("ntpsec.service", "ntpd"),
    ("openntpd.service", "openntpd"),
    ("phc2sys.service", "phc2sys"),
    ("ptp4l.service", "ptp4l"),
    ("systemd-timesyncd.service", TIMESYNCD),
];

/// The daemons that run.
#[derive(Debug, Default)]
pub(super) struct Daemons(BTreeSet<&'static str>);

impl Daemons {
    /// Whether this one runs.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether any runs.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

/// States which daemons run, and what systemd says of their services.
///
/// The clock is that of the whole host, so a container that runs no time daemon says nothing.
pub(super) fn observe(
    host: &dyn Host,
    seen: &mut Seen,
    processes: Option<&Processes>,
    container: Option<bool>,
) -> Daemons {
    let daemons = processes.map(|processes| running(host, processes));
    if let Some((daemons, records)) = daemons {
        container::state_daemons(seen, records, container);
        state_units(host, seen);
        return daemons;
    }
    state_units(host, seen);
    Daemons::default()
}

fn running(host: &dyn Host, processes: &Processes) -> (Daemons, Vec<Record>) {
    let open = OPENNTPD.iter().any(|path| host.stat(path).is_ok());
    let users = settings::text(host, "/etc/passwd").unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut records = Vec::new();
    for process in DAEMONS {
        let Some(user) = processes.user(process) else {
            continue;
        };
        let name = if process == "ntpd" && open {
            "openntpd"
        } else {
            process
        };
        let _new = names.insert(name);
        records.push(Record::from([
            ("name".to_owned(), Value::Text(name.to_owned())),
            ("user".to_owned(), Value::Text(user_name(&users, user))),
        ]));
    }
    (Daemons(names), records)
}

/// The name of a user in `passwd(5)`, or the number of one who has none there.
fn user_name(passwd: &str, user: u32) -> String {
    let number = user.to_string();
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let name = lines.find_map(|mut line| {
        let name = line.next()?;
        (line.nth(1) == Some(number.as_str())).then(|| name.to_owned())
    });
    name.unwrap_or(number)
}

fn state_units(host: &dyn Host, seen: &mut Seen) {
    let mut records = Vec::new();
    let mut known = BTreeSet::new();
    for (name, daemon) in UNITS {
        let asked = units::service_unit(host, name);
        let failed = asked.is_err();
        let found = seen.note(Means::Dbus, &format!("systemd {name}"), asked);
        // Systemd that does not answer once is not asked again, and a part of the list is none.
        if failed {
            return;
        }
        let Some(service) = found.flatten() else {
            continue;
        };
        let unit = service.unit;
        // Two names may be those of one unit.
        if known.insert(unit.name.clone()) {
            let (active, enabled) = (unit.is_active(), unit.is_enabled());
            records.push(Record::from(
                [
                    ("unit", Value::Text(unit.name)),
                    ("daemon", Value::Text(daemon.to_owned())),
                    ("active", Value::Flag(active)),
                    ("enabled", Value::Flag(enabled)),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            ));
        }
    }
    seen.state_list("daemon_units", records);
}
