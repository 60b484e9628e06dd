//! The list of controls: `controls.tsv`, one control a line, no text of the standard.

use super::Control;
use crate::fault::{Complaint, Fault};

const COLUMNS: [&str; 9] = [
    "id",
    "title",
    "theme",
    "is_new_2022",
    "control_type",
    "properties",
    "cybersecurity_concepts",
    "operational_capabilities",
    "security_domains",
];
const THEMES: [&str; 4] = ["Organizational", "People", "Physical", "Technological"];

/// Reads the list. What is wrong is added to `faults`; the rest is returned.
///
/// The ids must be those of `standard`, all of them and in that order: Annex A has 93 controls and
/// none is left out, only said to have no check.
pub(super) fn read(
    file: &str,
    standard: &str,
    text: &str,
    faults: &mut Vec<Fault>,
) -> Vec<Control> {
    let mut controls = Vec::new();
    let mut expected = standard.lines().skip(1).map(id_of);
    let mut start = 0;
    for (number, line) in text.split('\n').enumerate() {
        let at = start..start + line.len();
        start += line.len() + 1;
        if number == 0 {
            if line != COLUMNS.join("\t") {
                let complaint = Complaint::new(at, "the columns are not the known ones")
                    .hint(format!("they are, parted by tabs: {}", COLUMNS.join(" ")));
                faults.push(complaint.in_file(file, text));
            }
            continue;
        }
        if line.is_empty() && start > text.len() {
            break;
        }
        match control(line, expected.next()) {
            Ok(control) => controls.push(control),
            Err(message) => faults.push(Complaint::new(at, message).in_file(file, text)),
        }
    }
    if let Some(id) = expected.next() {
        let end = text.len().saturating_sub(1);
        let complaint = Complaint::new(end..end, format!("control `{id}` is missing"));
        faults.push(complaint.in_file(file, text));
    }
    controls
}

fn id_of(line: &str) -> &str {
    line.split('\t').next().unwrap_or_default()
}

fn control(line: &str, expected: Option<&str>) -> Result<Control, String> {
    let fields: Vec<_> = line.split('\t').collect();
    let count = fields.len();
    let Ok(
        [
            id,
            title,
            theme,
            new,
            kind,
            properties,
            concepts,
            capabilities,
            domains,
        ],
    ) = <[&str; 9]>::try_from(fields)
    else {
        return Err(format!("9 columns are wanted, and {count} stand here"));
    };
    if expected != Some(id) {
        let wanted = expected.unwrap_or("the end of the file");
        return Err(format!("`{id}` stands where {wanted} was due"));
    }
    if title.is_empty() || !THEMES.contains(&theme) || !matches!(new, "yes" | "no") {
        return Err("title, theme or is_new_2022 has no known value".to_owned());
    }
    let words = |text: &str| text.split(';').map(str::to_owned).collect();
    Ok(Control {
        id: id.to_owned(),
        title: title.to_owned(),
        theme: theme.to_owned(),
        is_new_2022: new == "yes",
        control_type: words(kind),
        properties: words(properties),
        concepts: words(concepts),
        capabilities: words(capabilities),
        domains: words(domains),
    })
}

#[cfg(test)]
mod tests {
    use super::super::EMBEDDED_CONTROLS;
    use super::*;

    #[test]
    fn there_are_93_controls() {
        let mut faults = Vec::new();
        let controls = read("c", EMBEDDED_CONTROLS, EMBEDDED_CONTROLS, &mut faults);
        assert_eq!((faults.len(), controls.len()), (0, 93));
        let theme = |name| controls.iter().filter(|c| c.theme == name).count();
        assert_eq!(THEMES.map(theme), [37, 8, 14, 34]);
        assert_eq!(controls.iter().filter(|c| c.is_new_2022).count(), 11);
    }

    #[test]
    fn a_wrong_list_is_refused() {
        let lines: Vec<_> = EMBEDDED_CONTROLS.lines().collect();
        for (text, wanted) in [
            (String::new(), "columns"),
            (EMBEDDED_CONTROLS.replacen("title", "name", 1), "columns"),
            (
                EMBEDDED_CONTROLS.replacen("A.5.2\t", "A.5.99\t", 1),
                "A.5.2 was due",
            ),
            (
                EMBEDDED_CONTROLS.replacen("People", "Persons", 1),
                "no known value",
            ),
            (
                EMBEDDED_CONTROLS.replacen("no\tPreventive", "Preventive", 1),
                "9 columns",
            ),
            (lines[..93].join("\n") + "\n", "`A.8.34` is missing"),
            (
                format!("{EMBEDDED_CONTROLS}{}\n", lines[1]),
                "end of the file",
            ),
        ] {
            let mut faults = Vec::new();
            let _controls = read("c", EMBEDDED_CONTROLS, &text, &mut faults);
            let found = faults.iter().any(|fault| fault.message.contains(wanted));
            assert!(found, "{wanted}: {faults:?}");
        }
    }
}
