//! A statement as TOML to be filled in, and as CSV (RFC 4180) for spreadsheets.

use super::{Row, Soa, standard};

/// What stands at the head of a statement that is to be filled in.
const HEAD: &str = "\
# Statement of applicability: ISO/IEC 27001:2022, 6.1.3 d. All 93 controls stand here, also those
# that do not apply.
#
# applicable     true or false; `true` here is no decision yet
# justification  why it applies (risk, law, contract, practice), or why not. Only people can say it:
#                while one is empty, the statement cannot be approved
# state          \"not implemented\", \"planned\", \"partly\" or \"implemented\"; may be left out where it
#                does not apply
# owner          who answers for it: the short name of a person
# risks          ids of records in the register of risks, e.g. [\"R-3\"]
# documents      ids of records in the register of documents
# checks         ids of checks that are to bear on it: `evident-collector control ID` lists them
# note           anything else; may be left out
#
# `evident-collector check-config --soa soa.toml` says what is wrong with this file.

edition = 2022
";

/// What stands below the id of each control.
const ROW: &str = "\"
applicable = true
justification = \"\"
state = \"not implemented\"
owner = \"\"
risks = []
documents = []
checks = []
";

const COLUMNS: &str = "id,title,applicable,justification,state,owner,risks,documents,checks,note";

impl Soa {
    /// A statement of all controls that says nothing yet.
    #[must_use]
    pub fn template() -> String {
        let mut text = HEAD.to_owned();
        for control in standard() {
            for line in [
                "\n# ",
                &control.title,
                "\n[[control]]\nid = \"",
                &control.id,
                ROW,
            ] {
                text.push_str(line);
            }
        }
        text
    }

    /// All rows as CSV; lists are parted by spaces.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = format!("{COLUMNS}\r\n");
        for row in &self.rows {
            text.push_str(&line(row));
            text.push_str("\r\n");
        }
        text
    }
}

fn line(row: &Row) -> String {
    let cells = [
        row.id.clone(),
        row.title.clone(),
        if row.applicable { "yes" } else { "no" }.to_owned(),
        row.justification.clone(),
        row.state.map_or("", super::State::as_str).to_owned(),
        row.owner
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        row.risks.join(" "),
        row.documents.join(" "),
        row.checks.join(" "),
        row.note.clone(),
    ];
    let cells = cells.map(|cell| quoted(&cell));
    cells.join(",")
}

/// A cell. One that begins like a formula gets a `'` before it: a spreadsheet would run it.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}
