//! A list of hosts that another system keeps, as it exports it: CSV with a heading.
//!
//! Source: RFC 4180. Every line must be understood: a quote that is not closed, or a row with
//! another number of fields, would make hosts vanish without a word.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use shared::limits;

use crate::fault::{Complaint, Fault, nearest};

mod name;

pub use name::Machine;
pub(crate) use name::short;

/// The columns that are understood; the first one must be there.
const COLUMNS: [&str; 5] = ["host", "address", "group", "owner", "note"];
/// Most hosts of one list.
const ROWS_MAX: usize = 100_000;
/// Longest field in bytes.
const FIELD_BYTES_MAX: usize = 1024;
/// Most faults that are told of one list.
const FAULTS_MAX: usize = 20;

/// A host as a list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its name, or its address where it has no name.
    pub host: Machine,
    /// Its address, where there is a column for it.
    pub address: Option<IpAddr>,
    /// What the other system calls its group; may be empty.
    pub group: String,
    /// Who answers for it there; may be empty.
    pub owner: String,
    /// Whatever else is said of it; may be empty.
    pub note: String,
}

/// A field and where it stands.
struct Cell {
    at: Range<usize>,
    text: String,
}

/// A row and its line, from 1.
struct Row {
    line: usize,
    cells: Vec<Cell>,
}

/// Reads a list; `file` is its name in what is said about it.
///
/// # Errors
///
/// All faults, at most 20, each with line, column and what can be done: whoever brings the list
/// must correct it.
pub fn read(file: &str, bytes: &[u8]) -> Result<Vec<Listed>, Vec<Fault>> {
    let one = |complaint: Complaint, text: &str| vec![complaint.in_file(file, text)];
    if limits::DOCUMENT_BYTES_MAX < bytes.len() {
        let what = format!("{} bytes are more than a list may have", bytes.len());
        let hint = "at most 8 MiB: leave out columns, or bring several lists";
        return Err(one(Complaint::new(0..0, what).hint(hint), ""));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let hint = "export it as CSV in UTF-8";
        let complaint = Complaint::new(good.len()..good.len(), "this is no UTF-8 text");
        one(complaint.hint(hint), &good)
    })?;
    // Spreadsheets put a mark in front that no reader sees.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = rows(text).map_err(|complaint| one(complaint, text))?;
    let mut rows = rows.into_iter();
    let heading = rows.next();
    let columns = columns(heading.as_ref(), text).map_err(|complaint| one(complaint, text))?;
    let (mut listed, mut faults) = (Vec::new(), Vec::new());
    let mut lines = BTreeMap::new();
    for row in rows {
        match host(&row, &columns, &mut lines) {
            Ok(host) => listed.push(host),
            Err(complaint) if faults.len() < FAULTS_MAX => {
                faults.push(complaint.in_file(file, text));
            }
            Err(_one_more) => {}
        }
    }
    if ROWS_MAX < listed.len() {
        let end = text.len();
        let complaint = Complaint::new(end..end, format!("{} hosts in one list", listed.len()));
        faults.push(complaint.hint("at most 100000").in_file(file, text));
    }
    if faults.is_empty() {
        Ok(listed)
    } else {
        Err(faults)
    }
}

/// Which column each field of a row stands in.
fn columns(heading: Option<&Row>, text: &str) -> Result<Vec<&'static str>, Complaint> {
    let hint = "the first line names the columns: host, and perhaps address, group, owner, note";
    let Some(heading) = heading else {
        return Err(Complaint::new(0..text.len(), "the list is empty").hint(hint));
    };
    let mut columns = Vec::new();
    for cell in &heading.cells {
        let name = cell.text.trim().to_ascii_lowercase();
        let Some(known) = COLUMNS.into_iter().find(|known| *known == name) else {
            let complaint = Complaint::new(cell.at.clone(), format!("unknown column `{name}`"));
            if name.contains([';', '\t']) {
                return Err(complaint.hint("part the columns by commas: RFC 4180"));
            }
            let near = nearest(&name, COLUMNS.into_iter());
            return Err(complaint.hint(format!("{near}; leave out what is not wanted here")));
        };
        if columns.contains(&known) {
            let what = format!("column `{known}` stands here twice");
            return Err(Complaint::new(cell.at.clone(), what));
        }
        columns.push(known);
    }
    if columns.contains(&"host") {
        Ok(columns)
    } else {
        let at = heading.cells.first().map_or(0..0, |cell| cell.at.clone());
        Err(Complaint::new(at, "there is no column `host`").hint(hint))
    }
}

/// The host of a row. `lines` remembers where each stands.
fn host(
    row: &Row,
    columns: &[&'static str],
    lines: &mut BTreeMap<Machine, usize>,
) -> Result<Listed, Complaint> {
    let first = row.cells.first().map_or(0, |cell| cell.at.start);
    let last = row.cells.last().map_or(first, |cell| cell.at.end);
    if row.cells.len() != columns.len() {
        let (found, wanted) = (row.cells.len(), columns.len());
        let what = format!("{found} fields where the heading has {wanted}");
        let hint = "write empty fields as well; put a field with a comma in double quotes";
        return Err(Complaint::new(first..last, what).hint(hint));
    }
    let mut listed = Listed {
        line: row.line,
        host: Machine::Name(String::new()),
        address: None,
        group: String::new(),
        owner: String::new(),
        note: String::new(),
    };
    for (column, cell) in columns.iter().zip(&row.cells) {
        let refused = |what: String| Complaint::new(cell.at.clone(), what);
        let text = cell.text.trim();
        if FIELD_BYTES_MAX < text.len() {
            let what = format!("{} bytes are more than a field may have", text.len());
            return Err(refused(what).hint("at most 1024; is a double quote missing before it?"));
        }
        if text
            .chars()
            .any(|sign| sign.is_control() && sign != '\n' && sign != '\r')
        {
            return Err(refused("a control character".to_owned()));
        }
        match *column {
            "host" => {
                listed.host = Machine::read(text).ok_or_else(|| {
                    refused(format!("`{text}` is no name of a host"))
                        .hint("write its DNS name, short or whole, or its address")
                })?;
            }
            "address" if text.is_empty() => {}
            "address" => {
                let address = text.parse().map_err(|_no_address| {
                    refused(format!("`{text}` is no address"))
                        .hint("one IPv4 or IPv6 address, or nothing")
                })?;
                listed.address = Some(address);
            }
            "group" => text.clone_into(&mut listed.group),
            "owner" => text.clone_into(&mut listed.owner),
            _ => text.clone_into(&mut listed.note),
        }
    }
    match lines.insert(listed.host.clone(), row.line) {
        None => Ok(listed),
        Some(line) => {
            let what = format!("`{}` stands already in line {line}", listed.host);
            let _first = lines.insert(listed.host, line);
            Err(Complaint::new(first..last, what).hint("one line for each host"))
        }
    }
}

/// The rows of a CSV text; blank lines are none.
fn rows(text: &str) -> Result<Vec<Row>, Complaint> {
    let mut rows = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let mut cells = Vec::new();
        let begun = line;
        loop {
            let (cell, next) = cell(text, at)?;
            line += text.get(at..next).unwrap_or_default().matches('\n').count();
            let comma = text.get(next..).is_some_and(|rest| rest.starts_with(','));
            cells.push(cell);
            at = next;
            if !comma {
                break;
            }
            at += 1;
        }
        let rest = text.get(at..).unwrap_or_default();
        let end = if rest.starts_with("\r\n") { 2 } else { 1 };
        at += end;
        line += 1;
        let blank = matches!(cells.as_slice(), [only] if only.text.trim().is_empty());
        if !blank {
            rows.push(Row { line: begun, cells });
        }
    }
    Ok(rows)
}

/// The field that begins at `at`, and where it ends: at a comma, a line break or the end.
fn cell(text: &str, at: usize) -> Result<(Cell, usize), Complaint> {
    let rest = text.get(at..).unwrap_or_default();
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', '\n']).unwrap_or(rest.len());
        let plain = rest.get(..end).unwrap_or_default();
        let plain = plain.strip_suffix('\r').unwrap_or(plain);
        if let Some(quote) = plain.find('"') {
            let quote = at + quote;
            let hint = "put the whole field in double quotes, and write each one inside twice";
            return Err(
                Complaint::new(quote..quote + 1, "a double quote inside a field").hint(hint),
            );
        }
        let end = at + plain.len();
        let text = plain.to_owned();
        return Ok((Cell { at: at..end, text }, end));
    };
    let mut from = 0;
    loop {
        let found = quoted.get(from..).and_then(|rest| rest.find('"'));
        let Some(found) = found else {
            let what = "a double quote that is not closed";
            return Err(Complaint::new(at..at + 1, what).hint("RFC 4180 section 2"));
        };
        let close = from + found;
        let behind = quoted.get(close + 1..).unwrap_or_default();
        if behind.starts_with('"') {
            from = close + 2;
            continue;
        }
        let end = at + 1 + close + 1;
        let ends =
            behind.is_empty() || behind.starts_with([',', '\n']) || behind.starts_with("\r\n");
        if !ends {
            let what = "something stands behind the closing double quote";
            return Err(Complaint::new(end..end + 1, what).hint("RFC 4180 section 2"));
        }
        let text = quoted
            .get(..close)
            .unwrap_or_default()
            .replace("\"\"", "\"");
        return Ok((Cell { at: at..end, text }, end));
    }
}

#[cfg(test)]
mod tests;
