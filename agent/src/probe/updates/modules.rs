//! Modules of an RPM repository: which packages belong to which stream.
//!
//! A stream is one of several lines of the same program, such as `nodejs:18` and `nodejs:20`, and a
//! package of one is no update for a package of another. The file is YAML; read are the documents
//! `modulemd` in the form that libmodulemd writes, line by line.
//!
//! Source: libmodulemd `yaml_specs/modulemd_stream_v2.yaml`.

use std::collections::BTreeMap;
use std::io::{BufRead, Error, ErrorKind, Read as _, Result};

/// Longest line; only descriptions are longer.
const LINE_BYTES_MAX: u64 = 4096;
/// Most packages that are kept.
const KEPT_MAX: usize = 50_000;

/// `NAME:STREAM` by the package `NAME-EPOCH:VERSION-RELEASE.ARCH`.
pub(super) type Modules = BTreeMap<String, String>;

/// Reads the modules of the packages whose name is wanted.
///
/// # Errors
///
/// Those of the stream; [`ErrorKind::InvalidData`] for a document of another form.
pub(super) fn modules(mut from: impl BufRead, wanted: impl Fn(&str) -> bool) -> Result<Modules> {
    let mut found = Modules::new();
    let mut document = Document::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut from)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(found);
        }
        if line.last() != Some(&b'\n') {
            let _rest = from.skip_until(b'\n')?;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text == "---" || text == "..." {
            document = Document::default();
        } else if let Some(package) = document.package(text)? {
            let module = format!("{}:{}", document.name, document.stream);
            if name(package).is_some_and(&wanted) {
                drop(found.insert(package.to_owned(), module));
            }
            if KEPT_MAX < found.len() {
                return Err(ErrorKind::FileTooLarge.into());
            }
        }
    }
}

/// The name in `NAME-EPOCH:VERSION-RELEASE.ARCH`.
fn name(package: &str) -> Option<&str> {
    let (rest, _release) = package.rsplit_once('-')?;
    rest.rsplit_once('-').map(|(name, _version)| name)
}

/// What a document has said so far.
#[derive(Debug, Default)]
struct Document {
    stream_of_module: bool,
    name: String,
    stream: String,
    artifacts: bool,
    packages: bool,
}

impl Document {
    /// The package that a line names.
    fn package<'a>(&mut self, line: &'a str) -> Result<Option<&'a str>> {
        let plain = line.trim_start();
        let item = plain.strip_prefix("- ");
        if self.packages
            && let Some(item) = item
        {
            if self.name.is_empty() || self.stream.is_empty() {
                return Err(Error::new(
                    ErrorKind::InvalidData,
                    "a module without a name",
                ));
            }
            return Ok(Some(item.trim_matches(['"', '\''])));
        }
        self.packages = false;
        let depth = line.len() - plain.len();
        let (key, value) = plain.split_once(':').unwrap_or((plain, ""));
        let value = value.trim().trim_matches(['"', '\'']);
        match (depth, key) {
            (0, "document") => {
                self.stream_of_module = matches!(value, "modulemd" | "modulemd-stream");
            }
            (2, "name") => value.clone_into(&mut self.name),
            (2, "stream") => value.clone_into(&mut self.stream),
            (2, _) => self.artifacts = key == "artifacts" && self.stream_of_module,
            (4, "rpms") if self.artifacts && value.is_empty() => self.packages = true,
            (4, "rpms") if self.artifacts && value != "[]" => {
                return Err(Error::new(ErrorKind::InvalidData, "a list in another form"));
            }
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: nodejs\n  \
        stream: \"18\"\n  summary: x\n  api:\n    rpms:\n    - nodejs\n  artifacts:\n    rpms:\n    \
        - nodejs-1:18.20.4-1.module+el9.x86_64\n    - npm-1:10-1.18.x86_64\n...\n---\n\
        document: modulemd-defaults\nversion: 1\ndata:\n  module: nodejs\n  stream: 20\n...\n";

    #[test]
    fn packages_of_streams() {
        let found = modules(TEXT.as_bytes(), |name| name == "nodejs").unwrap();
        let found: Vec<_> = found.into_iter().collect();
        let nodejs = "nodejs-1:18.20.4-1.module+el9.x86_64".to_owned();
        assert_eq!(found, [(nodejs, "nodejs:18".to_owned())]);
        assert_eq!(modules(TEXT.as_bytes(), |_| true).unwrap().len(), 2);
        assert!(modules(&b""[..], |_| true).unwrap().is_empty());
        for (from, to) in [
            ("  name: nodejs\n", ""),
            ("rpms:\n    - nodejs-", "rpms: [x]\n  - "),
        ] {
            let kind = modules(TEXT.replace(from, to).as_bytes(), |_| true);
            assert_eq!(kind.unwrap_err().kind(), ErrorKind::InvalidData, "{from}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|(---\n|document: modulemd\n|  name: a\n|    rpms:\n|- a\n){0,9}") {
            drop(modules(text.as_bytes(), |_| true));
        }
    }
}
