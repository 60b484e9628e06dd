//! Commands that show reference data: `control`, `clauses`, `documents`, `readiness`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use collector::catalog::Catalog;
use collector::catalog::reference::{
    About, Basis, Clause, Document, Duty, Kind, Readiness, Reference, Related, Score,
};
use collector::config::Config;
use serde::Serialize;
use shared::durable;

use super::page::Page;
use super::{Around, Folder, Format, Shown};

/// Longest file of answers.
const ANSWERS_BYTES_MAX: u64 = 64 * 1024;

/// An edition of ISO/IEC 27001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Edition {
    /// ISO/IEC 27001:2022: A.5.1 to A.8.34
    #[value(name = "2022")]
    Now,
    /// ISO/IEC 27001:2013: A.5.1.1 to A.18.2.3
    #[value(name = "2013")]
    Old,
}

const CONTROL_HELP: &str = "\
Examples:
  evident-collector control                           all 93 controls
  evident-collector control A.8.13                    all about backups
  evident-collector control A.12.3.1 --edition 2013   where a control of 2013 is now
  evident-collector control A.8.13 --crosswalk cis.tsv

A crosswalk of your own is a file with tabs between its cells:
  framework<TAB>CIS Controls v8
  grade<TAB>A
  source<TAB>who made the table, and when
  id<TAB>related
  A.8.13<TAB>11.1;11.2
Grades: A = a direct table of the framework's publisher, B+ = three independent routes agree,
B+/B = three or two, B = two, C = one. A mapping says that two texts speak of the same subject. It
never says that one fulfils the other.";

/// Controls, and all that is known about one.
#[derive(Debug, clap::Args)]
#[command(after_help = CONTROL_HELP)]
pub(crate) struct Control {
    /// Id of a control, e.g. A.8.13; without it all are listed
    id: Option<String>,
    /// The edition of the standard that the id is of
    #[arg(long, value_enum, default_value = "2022")]
    edition: Edition,
    #[command(flatten)]
    folder: Folder,
    /// Folder with a catalogue of your own instead of the one in force
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// A crosswalk of your own, or a folder of them; more than once for several
    #[arg(long = "crosswalk", value_name = "PATH")]
    crosswalks: Vec<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

const CLAUSES_HELP: &str = "\
A duty to document is in the words of this program, not of the standard.

Examples:
  evident-collector clauses                all clauses, 4 to 10.2
  evident-collector clauses --documented   only what is to be documented
  evident-collector clauses 6.1.3          one, and what it is related to in other frameworks";

/// Clauses 4 to 10.2 and what is to be documented.
#[derive(Debug, clap::Args)]
#[command(after_help = CLAUSES_HELP)]
pub(crate) struct Clauses {
    /// Number of a clause, e.g. 6.1.3; without it all are listed
    id: Option<String>,
    /// Only what is to be documented
    #[arg(long)]
    documented: bool,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Documents and records that an audit asks for.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Documents of a clause are due always, those of a control where the statement of applicability says
that the control applies. The others are practice. How often to look at them again is practice too,
not a requirement.")]
pub(crate) struct Documents {
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

const READINESS_HELP: &str = "\
The answers stand in a file of TOML that you keep, one line a question:
  Q01 = true
  Q02 = false
What is not answered counts as no. Nothing is answered by this program, also where it has evidence:
it shows which controls and clauses a question touches.

The bands were published for 28 questions, of which 27 are known; so the highest score is 27.

Examples:
  evident-collector readiness                           the questions
  evident-collector readiness --answers readiness.toml  the score";

/// The readiness checklist and its score.
#[derive(Debug, clap::Args)]
#[command(after_help = READINESS_HELP)]
pub(crate) struct Ready {
    /// File with your answers; without it the questions are shown
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Control {
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let mut reference = Reference::embedded()?;
        let dir = self.folder.dir.as_path();
        // The tables inside are of use also where no collector is.
        let is_collector = dir.join(collector::config::FILE).exists();
        if is_collector {
            let own = Config::load(dir)?.catalogue.crosswalks;
            if !own.as_os_str().is_empty() {
                reference.add_crosswalks(&dir.join(own))?;
            }
        }
        for path in &self.crosswalks {
            reference.add_crosswalks(path)?;
        }
        let catalog = match &self.catalog {
            Some(folder) => Catalog::load(folder)?,
            None if is_collector => super::adopt::catalog(dir, None)?.0,
            None => Catalog::embedded()?,
        };
        let page = Page::new(around.width);
        match (&self.id, self.edition) {
            (None, Edition::Now) if self.format == Format::Json => json(&reference.controls),
            (None, Edition::Old) if self.format == Format::Json => json(&reference.old),
            (None, Edition::Now) => Ok(all(page, &reference, &catalog).into()),
            (None, Edition::Old) => Ok(all_old(page, &reference).into()),
            (Some(id), Edition::Now) => {
                let about = reference.about(&catalog, id)?;
                if self.format == Format::Json {
                    return json(&about);
                }
                Ok(one(page, &about).into())
            }
            (Some(id), Edition::Old) => {
                let moved = reference.moved(id)?;
                if self.format == Format::Json {
                    return json(&moved);
                }
                let mut page = page;
                let (id, title) = (&moved.control.id, &moved.control.title);
                page.line(&format!("{id}  {title}  (edition 2013)"));
                page.heading("Since 2022 its subject is in");
                for control in &moved.now {
                    page.line(&format!("  {:<7} {}", control.id, control.title));
                }
                Ok(page.text().into())
            }
        }
    }
}

impl Clauses {
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let reference = Reference::embedded()?;
        let mut page = Page::new(around.width);
        if let Some(id) = &self.id {
            let about = reference.about_clause(id)?;
            if self.format == Format::Json {
                return json(&about);
            }
            one_clause(&mut page, about.clause);
            if about.clause.documented == Duty::No && about.clause.note.is_empty() {
                page.line("No document is named.");
            }
            if !about.related_to.is_empty() {
                page.heading("Related to");
            }
            for related in &about.related_to {
                related_to(&mut page, related);
            }
            return Ok(page.text().into());
        }
        let wanted = |clause: &&Clause| !self.documented || clause.documented != Duty::No;
        let clauses: Vec<_> = reference.clauses.iter().filter(wanted).collect();
        if self.format == Format::Json {
            return json(&clauses);
        }
        for clause in clauses {
            one_clause(&mut page, clause);
        }
        Ok(page.text().into())
    }
}

fn one_clause(page: &mut Page, clause: &Clause) {
    let depth = clause.id.matches('.').count();
    let mark = format!("{:indent$}{:<6} ", "", clause.id, indent = depth * 2);
    page.words(&mark, &clause.title);
    let indent = " ".repeat(mark.len());
    if clause.documented != Duty::No {
        let (kind, ids) = (kind(clause.kind), clause.documents.join(", "));
        let what = format!("{} ({ids})", clause.what);
        page.words(&format!("{indent}{kind}: "), &what);
    }
    if !clause.note.is_empty() {
        page.words(&indent, &format!("({})", clause.note));
    }
}

impl Documents {
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let reference = Reference::embedded()?;
        if self.format == Format::Json {
            return json(&reference.documents);
        }
        let mut page = Page::new(around.width);
        for (basis, heading) in [
            (Basis::Clause, "A clause names them: due always"),
            (
                Basis::Control,
                "A control names them: due where the control applies",
            ),
            (Basis::Practice, "Auditors commonly ask for them"),
        ] {
            let of_basis = |document: &&Document| document.basis == basis;
            let documents: Vec<_> = reference.documents.iter().filter(of_basis).collect();
            page.heading(&format!("{heading} ({})", documents.len()));
            for document in documents {
                listed(&mut page, document);
            }
        }
        Ok(page.text().trim_start().to_owned().into())
    }
}

impl Ready {
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let readiness = Reference::embedded()?.readiness;
        let page = Page::new(around.width);
        let Some(file) = self.answers else {
            if self.format == Format::Json {
                return json(&readiness);
            }
            return Ok(questions(page, &readiness).into());
        };
        let text = durable::read_text(&file, ANSWERS_BYTES_MAX)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        let score = readiness.score(&file.display().to_string(), &text)?;
        if self.format == Format::Json {
            return json(&score);
        }
        Ok(scored(page, &readiness, &score).into())
    }
}

fn json(value: &impl Serialize) -> anyhow::Result<Shown> {
    Ok(serde_json::to_string_pretty(value)?.into())
}

const fn kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Record) => "record",
        Some(Kind::Document) | None => "document",
    }
}

fn all(mut page: Page, reference: &Reference, catalog: &Catalog) -> String {
    let mut theme = "";
    for control in &reference.controls {
        if control.theme != theme {
            theme = &control.theme;
            let count = reference
                .controls
                .iter()
                .filter(|other| other.theme == theme);
            page.heading(&format!("{theme} controls ({})", count.count()));
        }
        let checks = catalog.bearing_on(&control.id).count();
        let checks = match checks {
            0 => String::new(),
            1 => ", 1 check".to_owned(),
            _ => format!(", {checks} checks"),
        };
        let new = if control.is_new_2022 {
            ", new in 2022"
        } else {
            ""
        };
        page.words(
            &format!("  {:<7} ", control.id),
            &format!("{}{new}{checks}", control.title),
        );
    }
    page.text().trim_start().to_owned()
}

fn all_old(mut page: Page, reference: &Reference) -> String {
    for old in &reference.old {
        let now = old.now.join(", ");
        page.words(
            &format!("{:<9} ", old.id),
            &format!("{}: since 2022 {now}", old.title),
        );
    }
    page.text()
}

fn one(mut page: Page, about: &About<'_>) -> String {
    let control = about.control;
    page.line(&format!("{}  {}", control.id, control.title));
    let new = if control.is_new_2022 {
        ", new in that edition"
    } else {
        ""
    };
    page.words(
        "",
        &format!(
            "{} control of ISO/IEC 27001:2022 Annex A{new}",
            control.theme
        ),
    );
    page.heading("Attributes");
    for (name, words) in [
        ("type", &control.control_type),
        ("properties", &control.properties),
        ("concepts", &control.concepts),
        ("capabilities", &control.capabilities),
        ("domains", &control.domains),
    ] {
        page.words(
            &format!("  {name:<13}"),
            &words.join(", ").replace('_', " "),
        );
    }
    if !about.before.is_empty() {
        page.heading("In the 2013 edition");
        for old in &about.before {
            page.words(&format!("  {:<9} ", old.id), &old.title);
        }
    }
    page.heading(&format!("Checks that bear on it: {}", about.checks.len()));
    for bearing in &about.checks {
        page.words(
            &format!("  {:<10}", bearing.strength.as_str()),
            &format!("{}: {}", bearing.check, bearing.title),
        );
        page.words("            ", bearing.rationale);
    }
    if !about.related_to.is_empty() {
        page.heading("Related to");
        for related in &about.related_to {
            related_to(&mut page, related);
        }
    }
    if !about.documents.is_empty() {
        page.heading("Documents and records");
        for document in &about.documents {
            listed(&mut page, document);
        }
    }
    audited(&mut page, about);
    page.text()
}

/// What an audit does with the control.
fn audited(page: &mut Page, about: &About<'_>) {
    if let Some(asked) = about.asked {
        page.heading("What auditors commonly ask for");
        for (name, words) in [
            ("design", &asked.design),
            ("operation", &asked.operation),
            ("surveillance", &asked.surveillance),
            ("population", &asked.population),
            ("often fails", &asked.failure),
        ] {
            page.words(&format!("  {name:<13}"), words);
        }
    }
    if let Some(planned) = about.example {
        page.heading("In an example of a surveillance plan: the certification body decides");
        let years: Vec<_> = planned.years.iter().map(ToString::to_string).collect();
        let text = format!("audit {}: {}", years.join(" and "), planned.reason);
        page.words("  ", &text);
    }
}

fn related_to(page: &mut Page, related: &Related<'_>) {
    page.words(
        &format!("  {:<16} ", related.crosswalk),
        &related.ids.join(", "),
    );
    let by = if related.supplied {
        "your file"
    } else {
        "grade"
    };
    let grade = related.grade;
    let by = if related.supplied {
        format!("{by}, which states grade {}", grade.as_str())
    } else {
        format!("{by} {} ({})", grade.as_str(), grade.meaning())
    };
    let text = format!("{}; {by}; {}", related.framework, related.source);
    page.words(&" ".repeat(19), &text);
}

fn listed(page: &mut Page, document: &Document) {
    let related = document.related.join(", ");
    let name = kind(Some(document.kind));
    page.words(
        &format!("  {:<4} ", document.id),
        &format!("{} ({name}; {related})", document.title),
    );
    let note = if document.note.is_empty() { "" } else { "; " };
    page.words(
        "       ",
        &format!("{}{note}{}", document.interval, document.note),
    );
}

fn questions(mut page: Page, readiness: &Readiness) -> String {
    let mut group = "";
    for item in &readiness.items {
        if item.group != group {
            group = &item.group;
            page.heading(group);
        }
        let touched: Vec<_> = item.controls.iter().chain(&item.clauses).cloned().collect();
        page.words(
            &format!("  {} ", item.id),
            &format!("{} [{}]", item.item, touched.join(", ")),
        );
    }
    page.heading(&format!(
        "Score: questions answered with yes, of {}",
        readiness.items.len()
    ));
    for band in &readiness.bands {
        let range = format!("{}-{}", band.from, band.to);
        page.words(
            &format!("  {range:<6} "),
            &format!("{}: {}", band.rating, band.meaning),
        );
    }
    page.text().trim_start().to_owned()
}

fn scored(mut page: Page, readiness: &Readiness, score: &Score) -> String {
    let Score { yes, of, .. } = score;
    let band = score.band.as_ref();
    let band = band.map(|band| format!(": {} ({})", band.rating, band.meaning));
    page.line(&format!("{yes} of {of}{}", band.unwrap_or_default()));
    for (heading, ids) in [
        ("Answered with no", &score.no),
        ("Not answered, which counts as no", &score.unanswered),
    ] {
        if ids.is_empty() {
            continue;
        }
        page.heading(&format!("{heading} ({})", ids.len()));
        for item in readiness.items.iter().filter(|item| ids.contains(&item.id)) {
            page.words(&format!("  {} ", item.id), &item.item);
        }
    }
    page.heading("The answers are yours; no evidence was looked at.");
    page.text()
}

#[cfg(test)]
mod tests;
