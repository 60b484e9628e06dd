//! Services and timers as systemd has them: loaded, enabled, running, failed, and when.
//!
//! Source: `org.freedesktop.systemd1(5)`, the properties of the interfaces Unit, Service and Timer.
//! Rights: none.

use serde_json::Value;
use shared::observation::Status;
use shared::time::Timestamp;

use crate::host::bus::{BusCall, Listed};
use crate::host::{Host, Unseen};

/// What systemd says of any unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name, which is not the name that was asked for when that is an alias.
    pub name: String,
    /// loaded, masked, error, bad-setting ..; never not-found.
    pub load: String,
    /// active, reloading, inactive, failed, activating or deactivating.
    pub active: String,
    /// running, exited, dead, waiting ..: what it means depends on the kind of unit.
    pub sub: String,
    /// enabled, enabled-runtime, disabled, static, masked, alias, indirect, generated ..; `None`
    /// when it has no file.
    pub file: Option<String>,
}

impl Unit {
    /// Whether it is active now.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading")
    }

    /// Whether it starts by itself at the next boot, as far as its own file says.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.file.as_deref() == Some("enabled")
    }
}

/// What systemd says of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUnit {
    /// What it says of any unit.
    pub unit: Unit,
    /// `success`, or how its last run failed: exit-code, signal, timeout, oom-kill ..
    pub result: Option<String>,
    /// Exit status of the main process of its last run.
    pub status: Option<i64>,
    /// When the main process was started last, by the wall clock.
    pub started: Option<Timestamp>,
    /// When the main process ended last; `None` while the first one runs.
    pub ended: Option<Timestamp>,
    /// How often systemd started it again since it was last started by somebody.
    pub restarts: Option<i64>,
    /// Number of the main process, while it runs.
    pub main_pid: Option<u32>,
    /// User that it is started as; `None` when none is set, which for a service of the system
    /// means root.
    pub user: Option<String>,
}

/// What systemd says of a timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerUnit {
    /// What it says of any unit.
    pub unit: Unit,
    /// The unit that it starts.
    pub starts: Option<String>,
    /// When it last did; kept over a reboot only when the timer is persistent.
    pub last: Option<Timestamp>,
    /// When it will next, by the wall clock; `None` for a timer that counts from a boot or from
    /// the run before.
    pub next: Option<Timestamp>,
    /// What was missed while the host was off is made up for: systemd.timer(5), `Persistent=`.
    pub persistent: Option<bool>,
}

/// Asks for a service; `None` when systemd knows none of this name.
///
/// # Errors
///
/// [`Unseen`]; without systemd [`Status::Absent`].
pub fn service_unit(host: &dyn Host, name: &str) -> Result<Option<ServiceUnit>, Unseen> {
    let found = properties(host, name)?;
    Ok(found.map(|(unit, all)| ServiceUnit {
        unit,
        result: text(&all, "Result"),
        status: all.get("ExecMainStatus").and_then(Value::as_i64),
        started: instant(&all, "ExecMainStartTimestamp"),
        ended: instant(&all, "ExecMainExitTimestamp"),
        restarts: all.get("NRestarts").and_then(Value::as_i64),
        main_pid: all
            .get("MainPID")
            .and_then(Value::as_u64)
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0),
        user: text(&all, "User"),
    }))
}

/// The names of the variables that the file of a service sets, never their values; `None` when
/// systemd knows none of this name.
///
/// # Errors
///
/// [`Unseen`]; without systemd [`Status::Absent`].
pub fn environment(host: &dyn Host, service: &str) -> Result<Option<Vec<String>>, Unseen> {
    let found = properties(host, service)?;
    Ok(found.map(|(_unit, all)| {
        let set = all.get("Environment").and_then(Value::as_array);
        let names = set.into_iter().flatten().filter_map(|one| {
            let (name, _value) = one.as_str()?.split_once('=')?;
            Some(name.to_owned())
        });
        names.collect()
    }))
}

/// Asks for a timer; `None` when systemd knows none of this name.
///
/// # Errors
///
/// [`Unseen`]; without systemd [`Status::Absent`].
pub fn timer_unit(host: &dyn Host, name: &str) -> Result<Option<TimerUnit>, Unseen> {
    let found = properties(host, name)?;
    Ok(found.map(|(unit, all)| TimerUnit {
        unit,
        starts: text(&all, "Unit"),
        last: instant(&all, "LastTriggerUSec"),
        next: instant(&all, "NextElapseUSecRealtime"),
        persistent: all.get("Persistent").and_then(Value::as_bool),
    }))
}

/// The names of the units that failed, sorted.
///
/// # Errors
///
/// [`Unseen`]; without systemd [`Status::Absent`].
pub fn failed(host: &dyn Host) -> Result<Vec<String>, Unseen> {
    names(host, Listed::Failed)
}

/// The names of the timers in memory, sorted: those that wait, and those that others name.
///
/// # Errors
///
/// [`Unseen`]; without systemd [`Status::Absent`].
pub fn timers(host: &dyn Host) -> Result<Vec<String>, Unseen> {
    names(host, Listed::Timers)
}

fn names(host: &dyn Host, listed: Listed) -> Result<Vec<String>, Unseen> {
    let call = BusCall::Units(listed);
    let units = host.bus(call)?;
    let read = || {
        let units = units.as_array()?.iter();
        let names = units.map(|unit| unit.get(0)?.as_str().map(str::to_owned));
        names.collect::<Option<Vec<_>>>()
    };
    let mut names = read().ok_or_else(|| malformed(call))?;
    names.sort_unstable();
    Ok(names)
}

fn properties(host: &dyn Host, name: &str) -> Result<Option<(Unit, Value)>, Unseen> {
    let call = BusCall::Unit(name);
    let all = host.bus(call)?;
    let load = text(&all, "LoadState").ok_or_else(|| malformed(call))?;
    if load == "not-found" {
        return Ok(None);
    }
    let read = |load| {
        Some(Unit {
            name: text(&all, "Id")?,
            load,
            active: text(&all, "ActiveState")?,
            sub: text(&all, "SubState")?,
            file: text(&all, "UnitFileState"),
        })
    };
    let unit = read(load).ok_or_else(|| malformed(call))?;
    Ok(Some((unit, all)))
}

fn malformed(call: BusCall<'_>) -> Unseen {
    Unseen::new(&call.name(), Status::Malformed, None)
}

/// A text that is not empty.
fn text(all: &Value, name: &str) -> Option<String> {
    let text = all.get(name)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A time in microseconds since 1970; 0 and the largest number stand for never.
fn instant(all: &Value, name: &str) -> Option<Timestamp> {
    let us = all.get(name)?.as_u64().filter(|us| *us != 0)?;
    let ms = i64::try_from(us / 1000).ok()?;
    Timestamp::from_unix_ms(ms).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::Recorded;
    use crate::probe::golden;

    fn host() -> Recorded {
        Recorded::open(&golden::folder("systemd")).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_service_that_runs() {
        let found = service_unit(&host(), "chrony.service").unwrap().unwrap();
        let unit = &found.unit;
        assert_eq!(unit.name, "chrony.service");
        assert!(unit.is_active() && unit.is_enabled());
        assert_eq!(
            (unit.load.as_str(), unit.sub.as_str()),
            ("loaded", "running")
        );
        assert_eq!(found.result.as_deref(), Some("success"));
        assert_eq!(found.user.as_deref(), Some("_chrony"));
        assert_eq!(found.started, Some(at("2026-11-22T09:11:03.577Z")));
        assert_eq!((found.ended, found.restarts), (None, Some(0)));
        assert!(found.main_pid.is_some());
    }

    #[test]
    fn a_service_that_failed() {
        let found = service_unit(&host(), "broken.service").unwrap().unwrap();
        assert_eq!(found.unit.active, "failed");
        assert_eq!(
            (found.result.as_deref(), found.status),
            (Some("exit-code"), Some(1))
        );
        assert!(found.started <= found.ended && found.ended.is_some());
        assert_eq!((found.main_pid, found.user), (None, None));
        assert_eq!(failed(&host()).unwrap(), ["broken.service"]);
        let names = environment(&host(), "broken.service").unwrap().unwrap();
        assert_eq!(names, ["SECRET_TOKEN", "OTHER"]);
    }

    #[test]
    fn timers_with_and_without_a_run() {
        let found = timer_unit(&host(), "apt-daily-upgrade.timer")
            .unwrap()
            .unwrap();
        assert!(found.unit.is_active() && found.unit.is_enabled());
        assert_eq!(found.starts.as_deref(), Some("apt-daily-upgrade.service"));
        assert_eq!((found.last, found.persistent), (None, Some(true)));
        assert_eq!(found.next, Some(at("2026-11-23T06:30:51.056Z")));
        let found = timer_unit(&host(), "systemd-tmpfiles-clean.timer")
            .unwrap()
            .unwrap();
        assert_eq!((found.next, found.persistent), (None, Some(false)));
        assert_eq!(found.unit.file.as_deref(), Some("static"));
        assert!(timers(&host()).unwrap().contains(&found.unit.name));
    }

    #[test]
    fn no_unit_and_no_systemd_are_two_things() {
        assert_eq!(service_unit(&host(), "nothing.service"), Ok(None));
        assert_eq!(environment(&host(), "nothing.service"), Ok(None));
        let bare = Recorded::open(&golden::folder("bare")).unwrap();
        let unseen = service_unit(&bare, "nothing.service").unwrap_err();
        assert_eq!(unseen.status, Status::Absent);
        assert_eq!(failed(&bare).unwrap_err().status, Status::Absent);
    }

    #[test]
    fn lies_are_malformed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join("live").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            shared::durable::write(&path, text.as_bytes(), 0o644).unwrap();
        };
        std::fs::create_dir(folder.path().join("root")).unwrap();
        write("bus-failed.json", r#"[["a"], [7]]"#);
        write("bus-timers.json", "{}");
        write("bus-a.service.json", r#"{"LoadState": "loaded"}"#);
        write("bus-b.service.json", "[]");
        let never = r#"{"Id": "c.timer", "LoadState": "loaded", "ActiveState": "active",
            "SubState": "waiting", "UnitFileState": "", "LastTriggerUSec": 18446744073709551615,
            "NextElapseUSecRealtime": 0, "Unit": 7}"#;
        write("bus-c.timer.json", never);
        let host = Recorded::open(folder.path()).unwrap();
        for result in [failed(&host), timers(&host)] {
            assert_eq!(result.unwrap_err().status, Status::Malformed);
        }
        for name in ["a.service", "b.service"] {
            assert_eq!(
                service_unit(&host, name).unwrap_err().status,
                Status::Malformed
            );
        }
        let timer = timer_unit(&host, "c.timer").unwrap().unwrap();
        assert_eq!((timer.last, timer.next, timer.starts), (None, None, None));
        assert_eq!(timer.unit.file, None);
    }
}
