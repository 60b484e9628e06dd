//! The bill of materials: what is installed, as `CycloneDX` and as SPDX, with package URLs.
//!
//! Both documents are the same bytes as long as the same is installed: nothing in them is a time or
//! a random number, so an unchanged one is not sent again. When they were made stands in the
//! attestation that names them; SPDX demands a time, and gets the beginning of 1970.
//!
//! Source: `CycloneDX` 1.6 (ECMA-424), SPDX 2.3 (clauses 6 and 7), ECMA-427 "Package-URL".

use serde::Serialize;
use shared::id::Digest;
use shared::limits;
use shared::observation::{Means, Status};

use crate::host::Unseen;
use crate::probe::Seen;

/// Who made the documents.
const TOOL: &str = concat!("evident-agent-", env!("CARGO_PKG_VERSION"));

/// An installed package, whatever package manager installed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Component {
    /// Its name.
    pub(super) name: String,
    /// Its architecture, as the package manager writes it.
    pub(super) architecture: String,
    /// Its version, as the package manager writes it.
    pub(super) version: String,
    /// Its package URL, see [`purl`].
    pub(super) purl: String,
    /// Name and version of the package that it is built from, where they are known.
    pub(super) source: Option<(String, String)>,
}

/// Keeps both documents as artifacts of the observation; `system` is the name of the operating
/// system and its version.
pub(super) fn keep(seen: &mut Seen, system: (&str, &str), components: &[Component]) {
    for (name, bytes) in [
        ("sbom.cdx.json", cyclone_dx(system, components)),
        ("sbom.spdx.json", spdx(system, components)),
    ] {
        if limits::BLOB_BYTES_MAX < bytes.len() {
            let why = format!("{} packages", components.len());
            seen.unseen(Means::File, Unseen::new(name, Status::Limit, Some(&why)));
        } else {
            seen.keep(name, bytes, 0);
        }
    }
}

#[derive(Serialize)]
struct CycloneDx<'a> {
    #[serde(rename = "bomFormat")]
    bom_format: &'a str,
    #[serde(rename = "specVersion")]
    spec_version: &'a str,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    component: Part<'a>,
}

#[derive(Serialize)]
struct Part<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pedigree: Option<Pedigree<'a>>,
}

#[derive(Serialize)]
struct Pedigree<'a> {
    ancestors: [Box<Part<'a>>; 1],
}

fn cyclone_dx((name, version): (&str, &str), components: &[Component]) -> Vec<u8> {
    let document = CycloneDx {
        bom_format: "CycloneDX",
        spec_version: "1.6",
        version: 1,
        metadata: Metadata {
            component: Part {
                kind: "operating-system",
                name,
                version,
                purl: None,
                pedigree: None,
            },
        },
        components: components.iter().map(part).collect(),
    };
    // Texts and numbers alone: they always have a JSON form.
    serde_json::to_vec(&document).unwrap_or_default()
}

fn part(component: &Component) -> Part<'_> {
    let purl = &component.purl;
    let ancestor = component.source.as_ref().map(|(name, version)| Part {
        kind: "library",
        name,
        version,
        purl: source_purl(purl, name, version),
        pedigree: None,
    });
    Part {
        kind: "library",
        name: &component.name,
        version: &component.version,
        purl: Some(purl.clone()),
        pedigree: ancestor.map(|ancestor| Pedigree {
            ancestors: [Box::new(ancestor)],
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spdx<'a> {
    #[serde(rename = "spdxVersion")]
    version: &'a str,
    #[serde(rename = "SPDXID")]
    id: &'a str,
    data_license: &'a str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo<'a>,
    document_describes: Vec<&'a str>,
    packages: Vec<SpdxPackage<'a>>,
}

#[derive(Serialize)]
struct CreationInfo<'a> {
    created: &'a str,
    creators: [String; 1],
    comment: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage<'a> {
    #[serde(rename = "SPDXID")]
    id: &'a str,
    name: &'a str,
    version_info: &'a str,
    download_location: &'a str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    external_refs: [ExternalRef<'a>; 1],
}

#[derive(Serialize)]
struct ExternalRef<'a> {
    #[serde(rename = "referenceCategory")]
    category: &'a str,
    #[serde(rename = "referenceType")]
    kind: &'a str,
    #[serde(rename = "referenceLocator")]
    locator: &'a str,
}

fn spdx((name, version): (&str, &str), components: &[Component]) -> Vec<u8> {
    let mut all = String::new();
    for component in components {
        all.push_str(&component.purl);
        all.push('\n');
    }
    let ids: Vec<String> = (0..components.len())
        .map(|number| format!("SPDXRef-Package-{number}"))
        .collect();
    let document = Spdx {
        version: "SPDX-2.3",
        id: "SPDXRef-DOCUMENT",
        data_license: "CC0-1.0",
        name: format!("{name}-{version}"),
        // The same packages have the same name, and no others have it.
        document_namespace: format!("https://spdx.org/spdxdocs/{}", Digest::of(all.as_bytes())),
        creation_info: CreationInfo {
            created: "1970-01-01T00:00:00Z",
            creators: [format!("Tool: {TOOL}")],
            comment: "When this was made stands in the attestation that names it.",
        },
        document_describes: ids.iter().map(String::as_str).collect(),
        packages: components.iter().zip(&ids).map(spdx_package).collect(),
    };
    serde_json::to_vec(&document).unwrap_or_default()
}

fn spdx_package<'a>((component, id): (&'a Component, &'a String)) -> SpdxPackage<'a> {
    let source = component.source.as_ref();
    SpdxPackage {
        id,
        name: &component.name,
        version_info: &component.version,
        download_location: "NOASSERTION",
        files_analyzed: false,
        source_info: source.map(|(name, version)| format!("built from {name} {version}")),
        external_refs: [ExternalRef {
            category: "PACKAGE-MANAGER",
            kind: "purl",
            locator: &component.purl,
        }],
    }
}

/// The package URL of what a package is built from, where its type has a word for that.
///
/// Source: the types `deb` and `rpm` of package URLs.
fn source_purl(purl: &str, name: &str, version: &str) -> Option<String> {
    let architecture = match purl.split('/').next() {
        Some("pkg:deb") => "source",
        Some("pkg:rpm") => "src",
        _ => return None,
    };
    let place = purl.split('@').next()?.rsplit_once('/')?.0;
    let distro = purl
        .split(['?', '&'])
        .find(|part| part.starts_with("distro="));
    let distro = distro
        .map(|distro| format!("&{distro}"))
        .unwrap_or_default();
    let (name, version) = (escaped(name), escaped(version));
    Some(format!(
        "{place}/{name}@{version}?arch={architecture}{distro}"
    ))
}

/// A package URL: `pkg:deb/debian/openssl@3.0.17-1?arch=amd64&distro=debian-12`. Qualifiers are
/// sorted by name, and left out when they are empty.
///
/// Source: ECMA-427, "Package-URL Specification", section 5.
pub(super) fn purl(
    kind: &str,
    namespace: &str,
    (name, version): (&str, &str),
    qualifiers: &[(&str, &str)],
) -> String {
    let mut all = qualifiers.to_vec();
    all.retain(|(_, value)| !value.is_empty());
    all.sort_unstable();
    let mut purl = format!("pkg:{kind}/");
    if !namespace.is_empty() {
        purl.push_str(&escaped(namespace));
        purl.push('/');
    }
    purl.push_str(&escaped(name));
    purl.push('@');
    purl.push_str(&escaped(version));
    for (number, (key, value)) in all.into_iter().enumerate() {
        purl.push(if number == 0 { '?' } else { '&' });
        purl.push_str(key);
        purl.push('=');
        purl.push_str(&escaped(value));
    }
    purl
}

/// Letters, digits, `.`, `-`, `_`, `~` and `:` stand for themselves.
fn escaped(text: &str) -> String {
    let one = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> Vec<Component> {
        let component = |name: &str, version: &str, source: Option<(&str, &str)>| Component {
            purl: purl(
                "deb",
                "debian",
                (name, version),
                &[("arch", "amd64"), ("distro", "debian-12")],
            ),
            name: name.to_owned(),
            architecture: "amd64".to_owned(),
            version: version.to_owned(),
            source: source.map(|(name, version)| (name.to_owned(), version.to_owned())),
        };
        vec![
            component("libssl3", "3.0-1+b1", Some(("openssl", "3.0-1"))),
            component("tool", "1", None),
        ]
    }

    #[test]
    fn documents_are_as_written_here() {
        let bytes = cyclone_dx(("debian", "12"), &components());
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            concat!(
                r#"{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"#,
                r#""metadata":{"component":{"type":"operating-system","name":"debian","#,
                r#""version":"12"}},"components":[{"type":"library","name":"libssl3","#,
                r#""version":"3.0-1+b1","#,
                r#""purl":"pkg:deb/debian/libssl3@3.0-1%2Bb1?arch=amd64&distro=debian-12","#,
                r#""pedigree":{"ancestors":[{"type":"library","name":"openssl","#,
                r#""version":"3.0-1","#,
                r#""purl":"pkg:deb/debian/openssl@3.0-1?arch=source&distro=debian-12"}]}},"#,
                r#"{"type":"library","name":"tool","version":"1","#,
                r#""purl":"pkg:deb/debian/tool@1?arch=amd64&distro=debian-12"}]}"#,
            )
        );
        let bytes = spdx(("debian", "12"), &components());
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        assert_eq!(
            document["documentDescribes"],
            serde_json::json!(["SPDXRef-Package-0", "SPDXRef-Package-1"])
        );
        assert_eq!(
            document["packages"][0],
            serde_json::json!({
                "SPDXID": "SPDXRef-Package-0",
                "name": "libssl3",
                "versionInfo": "3.0-1+b1",
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": false,
                "sourceInfo": "built from openssl 3.0-1",
                "externalRefs": [{
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator":
                        "pkg:deb/debian/libssl3@3.0-1%2Bb1?arch=amd64&distro=debian-12",
                }],
            })
        );
        let other = spdx(("debian", "12"), &components()[..1]);
        let other: serde_json::Value = serde_json::from_slice(&other).unwrap();
        assert_ne!(other["documentNamespace"], document["documentNamespace"]);
        assert_eq!(spdx(("debian", "12"), &components()), bytes);
    }

    #[test]
    fn a_document_that_is_too_long_is_not_kept_and_says_so() {
        let mut seen = Seen::default();
        let many = vec![components().remove(0); 4000];
        keep(&mut seen, ("debian", "12"), &many);
        let (observation, copies) = seen.facts().observation(&shared::fact::updates::SUBJECT);
        assert_eq!((observation.artifacts.len(), copies.len()), (0, 0));
        let reason = observation.reason;
        assert!(
            reason.contains("sbom.cdx.json: limit (4000 packages)"),
            "{reason}"
        );
    }

    #[test]
    fn package_urls() {
        let url = purl(
            "deb",
            "debian",
            ("libstdc++6", "1:12.2.0-14+deb12u1~x"),
            &[("distro", "debian-12"), ("arch", "amd64"), ("epoch", "")],
        );
        assert_eq!(
            url,
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64&distro=debian-12"
        );
        assert_eq!(purl("rpm", "", ("a b", "1"), &[]), "pkg:rpm/a%20b@1");
    }
}
