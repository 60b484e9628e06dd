//! Which version apt would install: pins, priorities and the choice between versions.
//!
//! Read are the forms of `apt_preferences(5)` that people write: package names with `*` and `?`,
//! pins by version, origin and release. Regular expressions, character classes, `src:` names,
//! names with an architecture and local origins are not evaluated: such a file is refused as a
//! whole, and then nothing is said about pending updates.
//!
//! Source: `apt_preferences(5)`; the order of rules as in apt 2.6, `pkgPolicy`.

use std::cmp::Ordering;

use super::release::Release;
use crate::probe::settings::glob;
use shared::version;

/// The priority of an unpinned version in an ordinary list.
const ORDINARY: i32 = 500;
/// The priority of what is only installed, and of upgrades from backports.
const INSTALLED: i32 = 100;
/// The priority of a list that gives nothing by itself.
const NOT_AUTOMATIC: i32 = 1;
/// The priority of the release that `APT::Default-Release` names.
const DEFAULT_RELEASE: i32 = 990;
/// From here on a version is installed even when it is older.
const DOWNGRADE: i32 = 1000;
/// What `Pin-Priority: never` stands for.
const NEVER: i32 = -32768;

/// A place that has versions: a list, or what is installed.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Host name of the archive; empty for what is installed.
    pub(super) site: String,
    /// Component of the list, e.g. `main`.
    pub(super) component: String,
    /// Architecture of the list.
    pub(super) architecture: String,
    /// Name of its release file.
    pub(super) archive: String,
    /// What its release file says.
    pub(super) release: Release,
    /// It is what is installed, not a list.
    pub(super) installed: bool,
}

/// All pins, in the order in which apt applies them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins {
    pins: Vec<Pin>,
}

#[derive(Clone, Debug)]
struct Pin {
    /// `None` for every package.
    package: Option<String>,
    to: Target,
    priority: i32,
}

#[derive(Clone, Debug)]
enum Target {
    Version(String),
    Origin(String),
    /// Letter of the property and pattern; the letter `*` means suite or codename.
    Release(Vec<(char, String)>),
}

/// Preferences cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` in the preferences is not evaluated by this agent")]
pub(super) struct PreferenceError(String);

impl Pins {
    /// Pins the default release, before any file is taken in.
    ///
    /// # Errors
    ///
    /// [`PreferenceError`]: the name uses a form that is not evaluated.
    pub(super) fn default_release(&mut self, name: &str) -> Result<(), PreferenceError> {
        self.pins.push(Pin {
            package: None,
            to: release(name)?,
            priority: DEFAULT_RELEASE,
        });
        Ok(())
    }

    /// Takes in one preferences file.
    ///
    /// # Errors
    ///
    /// [`PreferenceError`]: apt refuses the file, or it uses a form that is not evaluated.
    pub(super) fn merge(&mut self, text: &str) -> Result<(), PreferenceError> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<&str> = lines.collect();
        for stanza in lines.split(|line| line.trim().is_empty()) {
            let field = |name: &str| stanza.iter().find_map(|line| value_of(line, name));
            let continued = stanza.iter().find(|line| line.starts_with([' ', '\t']));
            if let Some(line) = continued {
                return Err(refused(line));
            }
            let (package, pin) = match (field("Package"), field("Pin")) {
                (Some(package), Some(pin)) => (package, pin),
                (None, None) => continue,
                (package, pin) => return Err(refused(package.or(pin).unwrap_or_default())),
            };
            let priority = priority(field("Pin-Priority").unwrap_or_default())?;
            let to = target(pin)?;
            for name in package.split_whitespace() {
                let package = match name {
                    "*" => None,
                    name if name.contains([':', '/', '[']) => return Err(refused(name)),
                    name => Some(name.to_owned()),
                };
                self.pins.push(Pin {
                    package,
                    to: to.clone(),
                    priority,
                });
            }
        }
        Ok(())
    }

    /// The version that apt would have installed, when it is another than the installed one.
    ///
    /// `offers` are the versions of this package with the place that has each.
    pub(super) fn candidate<'a>(
        &self,
        package: &str,
        installed: &'a str,
        offers: &[(&'a str, &Place)],
    ) -> Option<&'a str> {
        let own = Place {
            installed: true,
            ..Place::default()
        };
        let mut all: Vec<(&str, &Place)> = offers.to_vec();
        all.push((installed, &own));
        all.sort_by(|a, b| version::compare(b.0, a.0));
        let mut best = (-1, installed, Ordering::Equal);
        for group in all.chunk_by(|a, b| version::compare(a.0, b.0).is_eq()) {
            let Some((text, _)) = group.first().copied() else {
                continue;
            };
            let priority = self.priority(package, group);
            let order = version::compare(text, installed);
            let lower = order.is_lt() && priority < DOWNGRADE;
            if priority != 0 && best.0 < priority && !lower {
                best = (priority, text, order);
            }
        }
        best.2.is_ne().then_some(best.1)
    }

    /// The priority of one version in all the places that have it.
    fn priority(&self, package: &str, places: &[(&str, &Place)]) -> i32 {
        let pinned = self.pins.iter().find(|pin| {
            let named = pin
                .package
                .as_deref()
                .is_some_and(|name| glob(name, package));
            named
                && places
                    .iter()
                    .any(|(version, place)| pin.to.matches(version, place))
        });
        let ordinary = places.iter().map(|(_, place)| self.ordinary(place)).max();
        let ordinary = ordinary.unwrap_or_default();
        match pinned {
            Some(_) if ordinary == NEVER => NEVER,
            Some(pin) => pin.priority,
            None => ordinary,
        }
    }

    /// The priority of a place for packages that no pin names.
    fn ordinary(&self, place: &Place) -> i32 {
        let general = self.pins.iter().find(|pin| {
            let version = matches!(pin.to, Target::Version(_));
            pin.package.is_none() && !version && pin.to.matches("", place)
        });
        match general {
            Some(pin) => pin.priority,
            None if place.installed => INSTALLED,
            None if place.release.not_automatic && place.release.but_automatic_upgrades => {
                INSTALLED
            }
            None if place.release.not_automatic => NOT_AUTOMATIC,
            None => ORDINARY,
        }
    }
}

impl Target {
    fn matches(&self, version: &str, place: &Place) -> bool {
        match self {
            Self::Version(pattern) => glob(pattern, version),
            Self::Origin(pattern) => !place.site.is_empty() && glob(pattern, &place.site),
            Self::Release(patterns) => patterns.iter().all(|(letter, pattern)| {
                let is = |text: Option<&str>| text.is_some_and(|text| glob(pattern, text));
                let release = &place.release;
                let suite = release.suite.as_deref();
                let suite = suite.or_else(|| place.installed.then_some("now"));
                match letter {
                    'a' => is(suite),
                    'n' => is(release.codename.as_deref()),
                    'o' => is(release.origin.as_deref()),
                    'l' => is(release.label.as_deref()),
                    'v' => is(release.version.as_deref()),
                    'c' => is(Some(&place.component)),
                    'b' => is(Some(&place.architecture)),
                    _ => is(suite) || is(release.codename.as_deref()),
                }
            }),
        }
    }
}

/// The value of a line when it is the field `name`.
fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

fn refused(text: &str) -> PreferenceError {
    PreferenceError(text.chars().take(100).collect())
}

fn priority(text: &str) -> Result<i32, PreferenceError> {
    if text == "never" {
        return Ok(NEVER);
    }
    let number = text.parse::<i16>().map_err(|_no_number| refused(text))?;
    if number == 0 {
        return Err(refused(text));
    }
    Ok(i32::from(number))
}

fn target(pin: &str) -> Result<Target, PreferenceError> {
    let (kind, data) = pin
        .split_once(char::is_whitespace)
        .ok_or_else(|| refused(pin))?;
    let data = data.trim();
    match kind {
        "version" => pattern(data).map(Target::Version),
        "release" => release(data),
        "origin" => {
            let inside = data
                .strip_prefix('"')
                .and_then(|data| data.strip_suffix('"'));
            pattern(inside.unwrap_or(data)).map(Target::Origin)
        }
        _ => Err(refused(pin)),
    }
}

fn release(data: &str) -> Result<Target, PreferenceError> {
    let mut patterns = Vec::new();
    for part in data.split(',').map(str::trim) {
        let (letter, text) = match part.split_once('=') {
            Some((letter, text)) => (letter.trim(), text.trim()),
            None if part.starts_with(|c: char| c.is_ascii_digit()) => ("v", part),
            None => ("*", part),
        };
        let mut letters = letter.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if "vonalcb*".contains(letter) => {
                patterns.push((letter, pattern(text)?));
            }
            _ => return Err(refused(part)),
        }
    }
    Ok(Target::Release(patterns))
}

/// A pattern that [`glob`] understands.
fn pattern(text: &str) -> Result<String, PreferenceError> {
    if text.is_empty() || text.starts_with('/') || text.contains(['[', '"', '\\']) {
        Err(refused(text))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(host: &str, suite: &str, label: &str) -> Place {
        Place {
            site: host.to_owned(),
            component: "main".to_owned(),
            architecture: "amd64".to_owned(),
            archive: String::new(),
            release: Release {
                origin: label.split(' ').next().map(str::to_owned),
                label: Some(label.to_owned()),
                suite: Some(suite.to_owned()),
                codename: Some("bookworm".to_owned()),
                version: label.starts_with("Debian").then(|| "12.15".to_owned()),
                not_automatic: suite.ends_with("-backports") || suite == "experimental",
                but_automatic_upgrades: suite.ends_with("-backports"),
                ..Release::default()
            },
            installed: false,
        }
    }

    /// Main has 2, backports 3, experimental 4, another vendor 5.
    #[track_caller]
    fn check(text: &str, installed: &str, expected: Option<&str>) {
        let places = [
            place("deb.debian.org", "stable", "Debian"),
            place("deb.debian.org", "stable-backports", "Debian Backports"),
            place("deb.debian.org", "experimental", "Debian"),
            place("apt.example.org", "vendor", "Vendor"),
        ];
        let offers: Vec<_> = ["2", "3", "4", "5"].into_iter().zip(&places).collect();
        let mut pins = Pins::default();
        pins.merge(text).unwrap();
        assert_eq!(
            pins.candidate("tool", installed, &offers),
            expected,
            "{text}"
        );
    }

    fn pin(package: &str, to: &str, priority: &str) -> String {
        format!("Package: {package}\nPin: {to}\nPin-Priority: {priority}\n")
    }

    #[test]
    fn choices_of_apt() {
        let vendor = |package, priority| pin(package, "origin apt.example.org", priority);
        check("", "1", Some("5"));
        check("", "5", None);
        check("", "6", None);
        check(&vendor("tool", "-1"), "1", Some("2"));
        check(&vendor("tool", "-1"), "2", None);
        check(&vendor("*", "-10"), "1", Some("2"));
        check(&vendor("*", "never"), "1", Some("2"));
        check(&vendor("other", "-1"), "1", Some("5"));
        check(&vendor("to*", "-1"), "1", Some("2"));
        check(&vendor("x tool", "-1"), "1", Some("2"));
        check(&vendor("*", "100"), "2", None);
        // What came from backports goes on from there; what did not, does not.
        check(&vendor("*", "-1"), "2.5", Some("3"));
        check(
            &pin("*", "release a=stable-backports", "990"),
            "1",
            Some("3"),
        );
        check(
            &pin("*", "release n=bookworm,l=Debian", "990"),
            "1",
            Some("4"),
        );
        check(&pin("*", "release experimental", "600"), "1", Some("4"));
        check(&pin("*", "release v=12*", "1001"), "6", Some("4"));
        check(&pin("*", "release 12.15", "501"), "1", Some("4"));
        check(&pin("tool", "version 2*", "1001"), "4", Some("2"));
        check(&pin("tool", "version 2*", "999"), "4", Some("5"));
        check(&pin("tool", "version 1", "600"), "1", None);
        check(&pin("tool", "release o=Nobody", "-1"), "1", Some("5"));
        // The first pin that fits wins, and a pin by name before one for all.
        let both = vendor("*", "-1") + "\n# why\n\n" + &vendor("tool", "500");
        check(&both, "1", Some("5"));
    }

    #[test]
    fn default_release() {
        let stable = place("deb.debian.org", "stable", "Debian");
        let vendor = place("apt.example.org", "vendor", "Vendor");
        let mut pins = Pins::default();
        pins.default_release("stable").unwrap();
        let offers = [("2", &stable), ("5", &vendor)];
        assert_eq!(pins.candidate("tool", "1", &offers), Some("2"));
        assert!(pins.default_release("/^sta/").is_err());
    }

    #[test]
    fn what_is_not_evaluated_is_refused() {
        for (package, to, priority) in [
            ("/^x/", "release a=stable", "1"),
            ("src:x", "release a=stable", "1"),
            ("x:amd64", "release a=stable", "1"),
            ("x[ab]", "release a=stable", "1"),
            ("x", "release a=/sta/", "1"),
            ("x", "release q=stable", "1"),
            ("x", "release a=", "1"),
            ("x", "origin \"\"", "1"),
            ("x", "version [12]", "1"),
            ("x", "colour red", "1"),
            ("x", "release", "1"),
            ("x", "release a=stable", "0"),
            ("x", "release a=stable", "high"),
            ("x", "release a=stable", "99999"),
            ("x", "release a=stable", ""),
        ] {
            let text = pin(package, to, priority);
            assert!(Pins::default().merge(&text).is_err(), "{text}");
        }
        assert!(
            Pins::default()
                .merge("Package: x\nPin-Priority: 1")
                .is_err()
        );
        assert!(
            Pins::default()
                .merge("Package: x\n y\nPin: version 1")
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|((Package|Pin|Pin-Priority): ?[*a-z0-9=,/ ]{0,8}\n?){0,9}") {
            drop(Pins::default().merge(&text));
        }
    }
}
