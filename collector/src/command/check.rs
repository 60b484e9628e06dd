//! Commands about checks: `check list`, `check show` and `check test`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use collector::catalog::{Catalog, Check as Criterion, Parameter, Verdict, WhenAbsent};
use collector::evaluate::{Tried, try_check};
use collector::fault::nearest;
use serde::Serialize;
use shared::fact;

use super::adopt;
use super::{Folder, Format, Shown};

/// What every check must show an example of.
const WANTED: [Verdict; 3] = [Verdict::Pass, Verdict::Fail, Verdict::Unknown];

/// Which catalogue is looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    #[command(flatten)]
    folder: Folder,
    /// Folder of a catalogue; without it the one in force in the collector's folder, and where
    /// there is no collector the one inside this program
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Which {
    fn catalog(&self) -> anyhow::Result<(Catalog, String)> {
        adopt::catalog(&self.folder.dir, self.catalog.as_deref())
    }
}

/// The checks of a catalogue.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Check {
    /// List the checks, one a line
    List {
        #[command(flatten)]
        which: Which,
        /// Only those that bear on this control, e.g. A.8.13
        #[arg(long, value_name = "ID")]
        control: Option<String>,
        /// Only those on this probe, e.g. clock
        #[arg(long, value_name = "NAME")]
        probe: Option<String>,
    },
    /// Say everything about a check: what it expects, why, on which controls it bears, what to do
    Show {
        #[command(flatten)]
        which: Which,
        /// Id of the check, e.g. clock.synchronised
        check: String,
    },
    /// Run the examples that each check carries
    ///
    /// Ends with 1 when an example gives another verdict than it says. A check without an example
    /// of a pass, of a fail and of an unknown is named as a gap.
    Test {
        #[command(flatten)]
        which: Which,
        /// Only these checks
        checks: Vec<String>,
    },
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<Shown> {
        match self {
            Self::List {
                which,
                control,
                probe,
            } => list(&which, control.as_deref(), probe.as_deref()),
            Self::Show { which, check } => {
                let (catalog, _name) = which.catalog()?;
                show(&catalog, &check, which.format)
            }
            Self::Test { which, checks } => {
                let (catalog, name) = which.catalog()?;
                test(&catalog, &name, &checks, which.format)
            }
        }
    }
}

/// The check with this id.
fn find<'a>(catalog: &'a Catalog, id: &str) -> anyhow::Result<&'a Criterion> {
    catalog.check(id).with_context(|| {
        let known = catalog.checks().map(|check| check.id.as_str());
        let hint = nearest(id, known);
        format!(
            "there is no check `{id}`{}{hint}",
            if hint.is_empty() { "" } else { "; " }
        )
    })
}

/// A check in a list.
#[derive(Serialize)]
struct Row<'a> {
    check: &'a str,
    severity: &'static str,
    controls: Vec<&'a str>,
    title: &'a str,
}

fn list(which: &Which, control: Option<&str>, probe: Option<&str>) -> anyhow::Result<Shown> {
    let (catalog, _name) = which.catalog()?;
    if let Some(id) = control
        && !catalog.controls().iter().any(|control| control.id == id)
    {
        let hint = nearest(
            id,
            catalog.controls().iter().map(|control| control.id.as_str()),
        );
        bail!("there is no control `{id}` in Annex A; {hint}");
    }
    if let Some(name) = probe
        && fact::subject(name).is_none()
    {
        let known = fact::SUBJECTS.iter().map(|subject| subject.probe);
        bail!("there is no probe `{name}`; {}", nearest(name, known));
    }
    let rows: Vec<_> = catalog
        .checks()
        .map(|check| Row {
            check: &check.id,
            severity: check.severity.as_str(),
            controls: check
                .mappings
                .iter()
                .map(|one| one.control.as_str())
                .collect(),
            title: &check.title,
        })
        .filter(|row| control.is_none_or(|id| row.controls.contains(&id)))
        .filter(|row| probe.is_none_or(|name| row.check.split('.').next() == Some(name)))
        .collect();
    if which.format == Format::Json {
        return Ok(serde_json::to_string_pretty(&rows)?.into());
    }
    let mut text = String::new();
    for row in &rows {
        let controls = row.controls.join(" ");
        writeln!(
            text,
            "{:36} {:8} {controls:22} {}",
            row.check, row.severity, row.title
        )?;
    }
    Ok(text.into())
}

/// Everything about a check.
#[derive(Serialize)]
struct Whole<'a> {
    check: &'a str,
    probe: &'a str,
    title: &'a str,
    severity: &'static str,
    freshness: String,
    absent: &'static str,
    expect: &'a str,
    when: Option<&'a str>,
    when_reason: Option<&'a str>,
    parameters: BTreeMap<&'a str, String>,
    fail: &'a str,
    remediation: &'a str,
    criterion: &'a str,
    reads: BTreeMap<&'static str, &'static str>,
    controls: Vec<Bearing<'a>>,
    examples: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
struct Bearing<'a> {
    control: &'a str,
    title: &'a str,
    strength: &'static str,
    rationale: &'a str,
}

impl<'a> Whole<'a> {
    fn of(catalog: &'a Catalog, check: &'a Criterion) -> Self {
        let when = check.when.as_ref();
        let expressions = std::iter::once(&check.expect).chain(when.map(|when| &when.condition));
        let names: BTreeSet<_> = expressions
            .flat_map(|expression| expression.reading().facts.iter().copied())
            .collect();
        let subject = fact::subject(&check.probe);
        let reads = names.into_iter().filter_map(|name| {
            let fact = subject?.fact(name)?;
            Some((name, fact.meaning))
        });
        let controls = check.mappings.iter().map(|mapping| {
            let mut known = catalog.controls().iter();
            let control = known.find(|control| control.id == mapping.control);
            Bearing {
                control: &mapping.control,
                title: control.map_or("", |control| control.title.as_str()),
                strength: mapping.strength.as_str(),
                rationale: &mapping.rationale,
            }
        });
        let mut examples = BTreeMap::new();
        for case in &check.cases {
            *examples.entry(case.verdict.as_str()).or_default() += 1_usize;
        }
        Self {
            check: &check.id,
            probe: &check.probe,
            title: &check.title,
            severity: check.severity.as_str(),
            freshness: Parameter::Duration(check.freshness_ms).to_string(),
            absent: match check.absent {
                WhenAbsent::Fail => "fail",
                WhenAbsent::NotApplicable => "not applicable",
            },
            expect: check.expect.source().trim(),
            when: when.map(|when| when.condition.source().trim()),
            when_reason: when.map(|when| when.reason.as_str()),
            parameters: check
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_string()))
                .collect(),
            fail: &check.fail,
            remediation: &check.remediation,
            criterion: &check.criterion,
            reads: reads.collect(),
            controls: controls.collect(),
            examples,
        }
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = format!("{}  {}\n\n", self.check, self.title);
        writeln!(text, "severity     {}", self.severity)?;
        writeln!(text, "fresh for    {}", self.freshness)?;
        writeln!(text, "when absent  {}", self.absent)?;
        for (name, value) in &self.parameters {
            writeln!(text, "parameter    {name} = {value}")?;
        }
        writeln!(text, "criterion    {}\n\nexpects", self.criterion)?;
        let indented = |text: &str| {
            let lines = text.lines().map(|line| format!("    {line}\n"));
            lines.collect::<String>()
        };
        text.push_str(&indented(self.expect));
        if let (Some(when), Some(reason)) = (self.when, self.when_reason) {
            writeln!(text, "\nconcerns a host when (else: {reason})")?;
            text.push_str(&indented(when));
        }
        writeln!(text, "\nreads from `{}`", self.probe)?;
        for (name, meaning) in &self.reads {
            let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(text, "    {name}: {meaning}")?;
        }
        writeln!(text, "\nwhen it fails: {}", self.fail)?;
        text.push_str(&indented(self.remediation));
        text.push('\n');
        for bearing in &self.controls {
            let Bearing {
                control,
                title,
                strength,
                rationale,
            } = bearing;
            writeln!(text, "{strength} {control} {title}")?;
            text.push_str(&indented(rationale.trim()));
        }
        let examples = self.examples.iter();
        let examples: Vec<_> = examples
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        writeln!(text, "\nexamples     {}", examples.join(", "))?;
        Ok(text)
    }
}

fn show(catalog: &Catalog, id: &str, format: Format) -> anyhow::Result<Shown> {
    let whole = Whole::of(catalog, find(catalog, id)?);
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(&whole)?.into());
    }
    Ok(whole.text()?.into())
}

/// What came of the examples of one check.
#[derive(Serialize)]
struct Outcome<'a> {
    check: &'a str,
    passed: usize,
    surprises: Vec<Tried>,
    /// Verdicts of which there is no example.
    gaps: Vec<&'static str>,
}

#[derive(Serialize)]
struct Tests<'a> {
    catalogue: &'a str,
    checks: usize,
    passed: usize,
    surprises: usize,
    gaps: usize,
    outcomes: Vec<Outcome<'a>>,
}

fn test(catalog: &Catalog, name: &str, ids: &[String], format: Format) -> anyhow::Result<Shown> {
    let checks: Vec<_> = if ids.is_empty() {
        catalog.checks().collect()
    } else {
        let found = ids.iter().map(|id| find(catalog, id));
        found.collect::<anyhow::Result<_>>()?
    };
    let outcomes: Vec<_> = checks.into_iter().map(outcome).collect();
    let tests = Tests {
        catalogue: name,
        checks: outcomes.len(),
        passed: outcomes.iter().map(|one| one.passed).sum(),
        surprises: outcomes.iter().map(|one| one.surprises.len()).sum(),
        gaps: outcomes.iter().filter(|one| !one.gaps.is_empty()).count(),
        outcomes,
    };
    let held = tests.surprises == 0;
    if format == Format::Json {
        return Ok((serde_json::to_string_pretty(&tests)?, held).into());
    }
    let mut text = String::new();
    for one in &tests.outcomes {
        for tried in &one.surprises {
            let Tried {
                case,
                wanted,
                found,
                reason,
            } = tried;
            let (wanted, found) = (wanted.as_str(), found.as_str());
            writeln!(
                text,
                "{} example {case}: expected {wanted}, found {found}: {reason}",
                one.check
            )?;
        }
        if !one.gaps.is_empty() {
            writeln!(
                text,
                "{} has no example of: {}",
                one.check,
                one.gaps.join(", ")
            )?;
        }
    }
    let Tests {
        checks,
        passed,
        surprises,
        gaps,
        ..
    } = &tests;
    write!(
        text,
        "{name}: {checks} checks, {passed} examples as expected, {surprises} not, {gaps} checks \
         with gaps"
    )?;
    Ok((text, held).into())
}

fn outcome(check: &Criterion) -> Outcome<'_> {
    let (passed, surprises): (Vec<_>, Vec<_>) = try_check(check)
        .into_iter()
        .partition(|tried| tried.found == tried.wanted);
    let there = |verdict: &Verdict| check.cases.iter().any(|case| case.verdict == *verdict);
    let when = check.when.iter().map(|_when| Verdict::NotApplicable);
    let wanted = WANTED.into_iter().chain(when);
    Outcome {
        check: &check.id,
        passed: passed.len(),
        surprises,
        gaps: wanted
            .filter(|verdict| !there(verdict))
            .map(Verdict::as_str)
            .collect(),
    }
}
