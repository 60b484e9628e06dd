//! What a bill of materials says of an installed package, and the package URL that names it.

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
