//! The part of YAML in which people write settings: maps and lists by indentation, plain and quoted
//! values, blocks of text, lists in brackets.
//!
//! Anchors, tags, maps in braces and values over several lines are refused: half understood
//! settings would prove too little or too much. Source: <https://yaml.org/spec/1.2.2/>.

use serde_json::{Map, Value};

/// Deepest nesting.
const DEPTH_MAX: usize = 32;

/// A line that is no comment: how far it is indented, and its text.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads a text.
///
/// # Errors
///
/// The number of the first line that is not understood.
pub(super) fn read(text: &str) -> Result<Value, usize> {
    let mut lines = Vec::new();
    for (at, raw) in text.lines().enumerate() {
        let number = at + 1;
        let text = without_comment(raw).trim_end();
        let inside = text.trim_start_matches(' ');
        if inside.is_empty() || text == "---" {
            continue;
        }
        if inside.starts_with('\t') {
            return Err(number);
        }
        let indent = text.len() - inside.len();
        lines.push(Line {
            number,
            indent,
            text: inside,
        });
    }
    let mut reader = Reader { lines, at: 0 };
    let Some(first) = reader.lines.first() else {
        return Ok(Value::Null);
    };
    let indent = first.indent;
    let value = reader.block(indent, 0)?;
    match reader.lines.get(reader.at) {
        None => Ok(value),
        Some(line) => Err(line.number),
    }
}

struct Reader<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Indentation and text of the next line.
    fn peek(&self) -> Option<(usize, &'a str)> {
        self.lines.get(self.at).map(|line| (line.indent, line.text))
    }

    fn fault<T>(&self) -> Result<T, usize> {
        Err(self.lines.get(self.at).map_or(0, |line| line.number))
    }

    /// A map or a list whose lines are indented so far.
    fn block(&mut self, indent: usize, depth: usize) -> Result<Value, usize> {
        if depth == DEPTH_MAX {
            return self.fault();
        }
        match self.peek() {
            Some((_, text)) if is_item(text) => self.list(indent, depth),
            Some(_) => self.map(indent, depth),
            None => Ok(Value::Null),
        }
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Value, usize> {
        let mut values = Vec::new();
        while let Some((found, text)) = self.peek() {
            if found != indent || !is_item(text) {
                break;
            }
            let rest = text.strip_prefix('-').unwrap_or_default();
            let item = rest.trim_start();
            if item.is_empty() {
                self.at += 1;
                values.push(self.below(indent, depth)?);
            } else if key(item).is_some() || is_item(item) {
                // The rest of the line begins a block of its own.
                let inner = indent + text.len() - item.len();
                if let Some(line) = self.lines.get_mut(self.at) {
                    (line.indent, line.text) = (inner, item);
                }
                values.push(self.block(inner, depth + 1)?);
            } else {
                values.push(self.value(item, indent)?);
            }
        }
        Ok(Value::Array(values))
    }

    fn map(&mut self, indent: usize, depth: usize) -> Result<Value, usize> {
        let mut map = Map::new();
        while let Some((found, text)) = self.peek() {
            if found < indent || found == indent && is_item(text) {
                break;
            }
            let Some((name, rest)) = key(text).filter(|_| found == indent) else {
                return self.fault();
            };
            let value = if rest.is_empty() {
                self.at += 1;
                match self.peek() {
                    // A list may stand as far left as the name that it belongs to.
                    Some((next, text)) if next == indent && is_item(text) => {
                        self.list(indent, depth + 1)?
                    }
                    _ => self.below(indent, depth)?,
                }
            } else {
                self.value(rest, indent)?
            };
            let _twice = map.insert(name.to_owned(), value);
        }
        Ok(Value::Object(map))
    }

    /// What is indented further than this; nothing when the next line is not.
    fn below(&mut self, indent: usize, depth: usize) -> Result<Value, usize> {
        match self.peek() {
            Some((next, _)) if indent < next => self.block(next, depth + 1),
            _ => Ok(Value::Null),
        }
    }

    /// The value on this line.
    fn value(&mut self, text: &str, indent: usize) -> Result<Value, usize> {
        if text.starts_with(['|', '>']) {
            self.at += 1;
            while self.peek().is_some_and(|(next, _)| indent < next) {
                self.at += 1;
            }
            // What it says is a program or a text, which nobody asks for here.
            return Ok(Value::String(String::new()));
        }
        let Some(value) = scalar(text) else {
            return self.fault();
        };
        self.at += 1;
        // A value that goes on in the next line.
        if self.peek().is_some_and(|(next, _)| indent < next) {
            return self.fault();
        }
        Ok(value)
    }
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// Splits at the colon behind a name.
fn key(text: &str) -> Option<(&str, &str)> {
    if let Some(quote) = text
        .chars()
        .next()
        .filter(|sign| matches!(sign, '"' | '\''))
    {
        let (name, rest) = text.strip_prefix(quote)?.split_once(quote)?;
        let rest = rest.strip_prefix(':')?;
        return (rest.is_empty() || rest.starts_with(' ')).then(|| (name, rest.trim()));
    }
    if text.starts_with(['[', '{', '&', '*', '!', '?']) {
        return None;
    }
    match text.split_once(": ") {
        Some((name, rest)) => Some((name.trim_end(), rest.trim())),
        None => text.strip_suffix(':').map(|name| (name.trim_end(), "")),
    }
}

/// A value in quotes, in brackets or plain; `None` for another form.
fn scalar(text: &str) -> Option<Value> {
    if text.starts_with(['&', '*', '!', '%', '@', '`']) {
        return None;
    }
    if let Some(inside) = text.strip_prefix('[') {
        let inside = inside.strip_suffix(']')?.trim();
        if inside.is_empty() {
            return Some(Value::Array(Vec::new()));
        }
        if inside.contains(['[', '{']) {
            return None;
        }
        let values = inside.trim_end_matches(',').split(',');
        return values.map(|value| scalar(value.trim())).collect();
    }
    if text.starts_with('{') {
        return (text == "{}").then(|| Value::Object(Map::new()));
    }
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            let inside = inside.strip_suffix(quote)?;
            let plain = !inside.contains(quote) && !inside.contains('\\');
            return plain.then(|| Value::String(inside.to_owned()));
        }
    }
    Some(match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        "null" | "~" => Value::Null,
        _ => match text.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_text) => Value::String(text.to_owned()),
        },
    })
}

/// A line up to its comment: a `#` at its beginning or behind a space, and not in quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, sign) in line.char_indices() {
        if quote.is_some() {
            quote = quote.filter(|open| *open != sign);
        } else if sign == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or_default();
        } else if matches!(sign, '"' | '\'') && " [,".contains(before) {
            // Inside a word it is a sign like others.
            quote = Some(sign);
        }
        before = sign;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = read(text).map(|value| value.to_string());
        assert_eq!(found.as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn maps_lists_and_values() {
        check("", "null");
        check("---\na: 1\nb: 'x: y'\n", r#"{"a":1,"b":"x: y"}"#);
        check(
            "a:\n  b: true\n  c:\nd: http://x:1/\n",
            r#"{"a":{"b":true,"c":null},"d":"http://x:1/"}"#,
        );
        check(
            "a:\n- b\n- c: 1\n  d: 2\n-\n  e: 3\n",
            r#"{"a":["b",{"c":1,"d":2},{"e":3}]}"#,
        );
        check(
            "a: [x, \"y\", 3]\nb: []\nc: {}\n",
            r#"{"a":["x","y",3],"b":[],"c":{}}"#,
        );
        check(
            "# top\na: b # end\nc: \"d # e\"\nf: g#h\n",
            r#"{"a":"b","c":"d # e","f":"g#h"}"#,
        );
        check("a: |\n  .x = 1\n  - {\nb: 2\n", r#"{"a":"","b":2}"#);
        check(
            "otlp/two:\n  endpoint: a:4317\n",
            r#"{"otlp/two":{"endpoint":"a:4317"}}"#,
        );
        check("- - a\n  - b\n", r#"[["a","b"]]"#);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, line) in [
            ("a: &x 1", 1),
            ("a: {b: 1}", 1),
            ("a: b\n  c", 1),
            ("a:\n  b: 1\n c: 2", 3),
            ("a\n", 1),
            ("a: 'x", 1),
            ("a: \"x\\n\"", 1),
            ("\ta: 1", 1),
            ("a:\n  *x", 2),
        ] {
            let found = read(text).unwrap_err();
            assert!(found == line || found == line + 1, "{text}: {found}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = (0..40).fold(String::new(), |text, depth| {
            format!("{text}{}a:\n", " ".repeat(depth))
        });
        assert!(read(&deep).is_err());
        assert!(read(&"- ".repeat(5000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "([a-z]|: |- |\n|  |[\"'#|>&\\[\\]{}]|\\PC)*") {
            let _value = read(&text);
        }
    }
}
