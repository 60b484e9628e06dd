//! XML as package repositories write it, tag by tag from a stream, with limits.
//!
//! Texts and attributes with the five named entities and numbers; comments, CDATA and processing
//! instructions are read over. A document type is refused: it could define entities, and no
//! repository has one. Whether tags match is not looked at, only that all are closed.

use std::borrow::Cow;
use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// Longest tag.
const TAG_BYTES_MAX: u64 = 64 * 1024;
/// How much of a text is kept; what is longer is a description.
const TEXT_BYTES_MAX: u64 = 4096;
/// Deepest nesting.
const DEPTH_MAX: usize = 64;

/// A stream of tags.
#[derive(Debug)]
pub(super) struct Tags<R> {
    from: R,
    text: Vec<u8>,
    tag: Vec<u8>,
    depth: usize,
    begun: bool,
    /// Bytes in which quotes were looked for.
    #[cfg(test)]
    steps: usize,
}

/// A tag, and the text before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'a> {
    text: &'a [u8],
    bytes: &'a [u8],
}

impl<R: BufRead> Tags<R> {
    /// The tags of a document.
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            text: Vec::new(),
            tag: Vec::new(),
            depth: 0,
            begun: false,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// The next tag; `None` after the end of the document.
    ///
    /// # Errors
    ///
    /// Those of the stream; [`ErrorKind::InvalidData`] when it is no such document,
    /// [`ErrorKind::UnexpectedEof`] when it ends early.
    pub(super) fn next(&mut self) -> Result<Option<Tag<'_>>> {
        loop {
            if !self.text()? {
                return if self.begun && self.depth == 0 {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
            self.tag()?;
            match self.tag.first() {
                Some(b'?') => {}
                Some(b'!') if self.tag.starts_with(b"!--") || self.tag.starts_with(b"![") => {}
                Some(b'!') | None => return Err(wrong("no document of a repository")),
                Some(_) => break,
            }
        }
        let tag = Tag {
            text: &self.text,
            bytes: &self.tag,
        };
        let depth = match (tag.closes(), tag.bytes.last() == Some(&b'/')) {
            (true, _) => self.depth.checked_sub(1),
            (false, true) => Some(self.depth),
            (false, false) => self.depth.checked_add(1),
        };
        self.depth = depth
            .filter(|depth| *depth <= DEPTH_MAX)
            .ok_or_else(|| wrong("tags do not match"))?;
        self.begun = true;
        Ok(Some(tag))
    }

    /// Reads up to the next tag. Whether there is one.
    fn text(&mut self) -> Result<bool> {
        self.text.clear();
        let from = &mut self.from;
        let mut limited = from.take(TEXT_BYTES_MAX);
        let length = limited.read_until(b'<', &mut self.text)?;
        if self.text.pop_if(|byte| *byte == b'<').is_some() {
            return Ok(true);
        }
        let long = u64::try_from(length).is_ok_and(|length| length == TEXT_BYTES_MAX);
        // The end of the whole stream, or of what is kept.
        Ok(long && self.skip_text()?)
    }

    fn skip_text(&mut self) -> Result<bool> {
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let found = buffer.iter().position(|byte| *byte == b'<');
            let used = found.map_or(buffer.len(), |at| at + 1);
            self.from.consume(used);
            if found.is_some() {
                return Ok(true);
            }
        }
    }

    fn tag(&mut self) -> Result<()> {
        self.tag.clear();
        let mut quote = None;
        loop {
            let before = self.tag.len();
            let left = TAG_BYTES_MAX.saturating_sub(u64::try_from(self.tag.len()).unwrap_or(0));
            let from = &mut self.from;
            let length = from.take(left).read_until(b'>', &mut self.tag)?;
            if length == 0 || self.tag.pop_if(|byte| *byte == b'>').is_none() {
                return Err(if left == 0 {
                    wrong("a tag is too long")
                } else {
                    ErrorKind::UnexpectedEof.into()
                });
            }
            #[cfg(test)]
            {
                self.steps += self.tag.len().saturating_sub(before);
            }
            quote = quote_after(quote, self.tag.get(before..).unwrap_or_default());
            if ended(&self.tag, quote) {
                return Ok(());
            }
            // A comment may be long, and only its end matters.
            if self.tag.starts_with(b"!") {
                let from = self.tag.len().saturating_sub(2);
                drop(self.tag.drain(3.min(from)..from));
            }
            self.tag.push(b'>');
        }
    }
}

/// The quote that is open after more bytes of a tag, when `quote` was before them.
fn quote_after(quote: Option<u8>, more: &[u8]) -> Option<u8> {
    more.iter().fold(quote, |quote, byte| match (quote, byte) {
        (None, b'"' | b'\'') => Some(*byte),
        (Some(open), byte) if open == *byte => None,
        (quote, _) => quote,
    })
}

/// Whether `>` ends a tag that has these bytes before it, and this quote open.
fn ended(tag: &[u8], quote: Option<u8>) -> bool {
    if tag.starts_with(b"!--") {
        return 5 <= tag.len() && tag.ends_with(b"--");
    }
    if tag.starts_with(b"![") {
        return tag.ends_with(b"]]");
    }
    quote.is_none()
}

fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_owned())
}

impl<'a> Tag<'a> {
    /// Its name, with `/` before it when it closes.
    pub(super) fn name(&self) -> &'a str {
        let end = self
            .bytes
            .iter()
            .skip(1)
            .position(|byte| byte.is_ascii_whitespace() || *byte == b'/');
        let name = self
            .bytes
            .get(..end.map_or(self.bytes.len(), |end| end + 1));
        std::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
    }

    fn closes(&self) -> bool {
        self.bytes.first() == Some(&b'/')
    }

    /// The text before it, without white space around it.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.text);
        plain(text.trim()).into_owned()
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes);
        let mut rest = text.get(self.name().len()..)?;
        while let Some((before, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, more) = after.get(1..)?.split_once(quote)?;
            if before.trim() == name {
                return Some(plain(value).into_owned());
            }
            rest = more;
        }
        None
    }
}

/// A text with its entities replaced; what is no entity stays as it is.
fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once(';').and_then(|(name, rest)| {
            let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok();
            let found = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => {
                    let digits = name.strip_prefix('#')?;
                    let code = match digits.strip_prefix('x') {
                        Some(hexadecimal) => number(hexadecimal, 16),
                        None => number(digits, 10),
                    };
                    char::from_u32(code?)?
                }
            };
            Some((found, rest))
        });
        if let Some((found, rest)) = named {
            plain.push(found);
            plain.push_str(rest);
        } else {
            plain.push('&');
            plain.push_str(part);
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(text: &str) -> Result<Vec<String>> {
        let mut tags = Tags::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(tag) = tags.next()? {
            let a = tag
                .attribute("a")
                .map_or_else(String::new, |a| format!(" a={a}"));
            found.push(format!("{}|{}{a}", tag.text(), tag.name()));
        }
        Ok(found)
    }

    #[test]
    fn tags_texts_and_attributes() {
        let text = "<?xml version=\"1.0\"?>\n<!-- <b> -- > -->\n<m xmlns:rpm='x' a=\"1&amp;2\">\
                    <n> x &lt;&#65;&#x42;&bad; </n><e/><rpm:e b='a=\"9\"' a = '>'/>\
                    <![CDATA[<no>]]></m>\n";
        let expected = ["|m a=1&2", "|n", "x <AB&bad;|/n", "|e", "|rpm:e a=>", "|/m"];
        assert_eq!(tags(text).unwrap(), expected);
        let long = format!("<m>{}<n/></m>", "x".repeat(10_000));
        assert_eq!(tags(&long).unwrap()[1].len(), 4096 + 2);
        let long = format!("<m><!--{}--></m>", ">x".repeat(100_000));
        assert_eq!(tags(&long).unwrap(), ["|m", "|/m"]);
    }

    #[test]
    fn what_is_no_whole_document() {
        let kind = |text: &str| tags(text).unwrap_err().kind();
        for early in [
            "",
            "  ",
            "<m>",
            "<m><n/>",
            "<m",
            "<m a=\"x",
            "<m a=\"x>",
            "<!-- ",
            "<!-- >",
            "<m>text",
        ] {
            assert_eq!(kind(early), ErrorKind::UnexpectedEof, "{early}");
        }
        for bad in [
            "<!DOCTYPE m [<!ENTITY x 'y'>]><m/>",
            "</m>",
            "<>",
            "<m></m></m>",
        ] {
            assert_eq!(kind(bad), ErrorKind::InvalidData, "{bad}");
        }
        assert!(tags(&"<m>".repeat(65)).is_err());
        assert!(tags(&format!("<m a=\"{}\"/>", "x".repeat(70_000))).is_err());
    }

    #[test]
    fn each_byte_of_a_tag_is_looked_at_once() {
        let text = format!("<m a=\"{}\"/>", ">".repeat(60_000));
        let mut tags = Tags::new(text.as_bytes());
        assert_eq!(
            tags.next().unwrap().map(|tag| tag.name() == "m"),
            Some(true)
        );
        assert!(tags.next().unwrap().is_none());
        assert!(tags.steps <= text.len(), "{}", tags.steps);
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|([a<>/!?&;=\" -]|<!--|-->|<a b=\"|</a>){0,30}") {
            drop(tags(&text));
        }
    }
}
