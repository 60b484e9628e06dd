//! The files of a catalogue: those inside this program, those of a folder, those of the ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared::durable;
use shared::id::Digest;

use super::CatalogError;

/// Longest file of a catalogue in bytes: it must also fit the ledger.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most files with checks in one catalogue.
pub(super) const FILES_MAX: usize = 200;
/// Name of the list of controls.
pub(super) const CONTROLS: &str = "controls.tsv";

/// Names and texts of files with checks.
macro_rules! embedded {
    ($($name:literal)*) => {
        &[$((
            concat!("checks/", $name, ".toml"),
            include_str!(concat!("../../../config/catalog/checks/", $name, ".toml")),
        )),*]
    };
}

/// The default catalogue: name of the file and its text.
const EMBEDDED: &[(&str, &str)] = embedded! {
    "audit"
    "backup"
    "canary"
    "clock"
    "delivery"
    "logging"
    "neighbours"
    "offset"
    "recovery"
    "restore"
    "updates"
    "vulnerabilities"
};
pub(super) const EMBEDDED_CONTROLS: &str = include_str!("../../../config/catalog/controls.tsv");

/// The texts of a catalogue by the names of their files in its folder: `controls.tsv` and
/// `checks/NAME.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// The catalogue inside this program.
    #[must_use]
    pub fn embedded() -> Self {
        Self::of_texts(EMBEDDED_CONTROLS, EMBEDDED)
    }

    /// The list of controls, and names and texts of files with checks.
    pub(super) fn of_texts(controls: &str, checks: &[(&str, &str)]) -> Self {
        let all = checks.iter().copied().chain([(CONTROLS, controls)]);
        let owned = all.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Self(owned.collect())
    }

    /// Reads a folder laid out as the default one: `controls.tsv` and `checks/*.toml`.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Read`] and [`CatalogError::Files`].
    pub fn read(folder: &Path) -> Result<Self, CatalogError> {
        let text = |path: PathBuf| {
            durable::read_text(&path, FILE_BYTES_MAX)
                .map_err(|source| CatalogError::Read { path, source })
        };
        let mut files = BTreeMap::from([(CONTROLS.to_owned(), text(folder.join(CONTROLS))?)]);
        let checks = folder.join("checks");
        let unread = |source| CatalogError::Read {
            path: checks.clone(),
            source,
        };
        for entry in std::fs::read_dir(&checks).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            if FILES_MAX < files.len() {
                return Err(CatalogError::Files { path: checks });
            }
            let name = path.strip_prefix(folder).unwrap_or(&path);
            files.insert(name.display().to_string(), text(path.clone())?);
        }
        Ok(Self(files))
    }

    /// The files that `bytes` brings under these names.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Name`] for another name than a catalogue has, [`CatalogError::Text`] for
    /// what is no text.
    pub fn named(bytes: BTreeMap<String, Vec<u8>>) -> Result<Self, CatalogError> {
        let mut files = BTreeMap::new();
        for (name, bytes) in bytes {
            if !is_name(&name) || FILES_MAX < files.len() {
                return Err(CatalogError::Name(name.chars().take(80).collect()));
            }
            let text = String::from_utf8(bytes);
            let text = text.map_err(|_no_text| CatalogError::Text(name.clone()))?;
            files.insert(name, text);
        }
        Ok(Self(files))
    }

    /// Names and texts, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The SHA-256 of each file.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        let files = self.0.iter();
        files
            .map(|(name, text)| (name.clone(), Digest::of(text.as_bytes())))
            .collect()
    }

    /// The list of controls; empty when there is none.
    pub(super) fn controls(&self) -> &str {
        self.0.get(CONTROLS).map_or("", String::as_str)
    }

    /// The files with checks.
    pub(super) fn checks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(name, _text)| *name != CONTROLS)
    }
}

/// Whether a catalogue has a file of this name.
fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let checks = name
        .strip_prefix("checks/")
        .and_then(|name| name.strip_suffix(".toml"));
    name == CONTROLS || checks.is_some_and(|name| !name.is_empty() && name.chars().all(word))
}
