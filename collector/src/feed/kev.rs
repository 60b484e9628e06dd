//! The list of known exploited vulnerabilities of CISA.

use std::io::Read as Source;

use serde::Deserialize;

use super::{Read, date};

#[derive(Deserialize)]
struct Catalogue {
    #[serde(rename = "dateReleased")]
    released: String,
    vulnerabilities: Vec<Exploited>,
}

#[derive(Deserialize)]
struct Exploited {
    #[serde(rename = "cveID")]
    id: String,
    #[serde(rename = "dueDate")]
    due: Option<String>,
}

pub(super) fn read(file: impl Source) -> serde_json::Result<Read> {
    let list: Catalogue = serde_json::from_reader(file)?;
    let mut read = Read {
        dated: date(&list.released),
        ..Read::default()
    };
    for one in list.vulnerabilities {
        read.records += 1;
        let due = one.due.as_deref().and_then(date);
        let _same = read.exploited.insert(one.id, due);
    }
    Ok(read)
}
