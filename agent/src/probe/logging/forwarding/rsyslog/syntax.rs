//! The syntax of the settings of rsyslog: objects, and the legacy lines between them.

use std::collections::BTreeMap;

/// The objects that matter here.
const OBJECTS: [&str; 6] = ["action", "global", "include", "input", "module", "ruleset"];
/// Longest text in single quotes.
const QUOTED_BYTES_MAX: usize = 4096;
/// An object such as `action(type="omfwd")`: its name and its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// Its name, in lower case.
    pub(super) name: String,
    /// Its parameters, by their names in lower case.
    pub(super) parameters: BTreeMap<String, String>,
    /// Name of the ruleset that it stands in, in lower case.
    pub(super) ruleset: Option<String>,
}

/// What stands in a file.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The objects.
    pub(super) objects: Vec<Object>,
    /// What is left without objects, comments and quoted text, by the ruleset that it stands in.
    pub(super) legacy: Vec<(Option<String>, String)>,
}

impl Parsed {
    /// The legacy lines of all rulesets.
    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.legacy.iter().flat_map(|(_, text)| text.lines())
    }
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Parsed {
    let mut objects: Vec<Object> = Vec::new();
    let mut parts = Vec::new();
    let mut legacy = String::new();
    let mut word = String::new();
    let mut ruleset = None::<String>;
    let mut depth = 0_usize;
    // White space has ended the word, but may also stand before its parenthesis.
    let mut ended = false;
    let mut rest = Text::new(text);
    while let Some(sign) = rest.next() {
        let Sign::Plain(character) = sign else {
            legacy.push(' ');
            word.clear();
            continue;
        };
        if character == '(' && OBJECTS.contains(&word.as_str()) {
            objects.push(Object {
                name: std::mem::take(&mut word),
                parameters: parameters(&mut rest),
                ruleset: ruleset.clone(),
            });
            continue;
        }
        if character == '{' {
            let begun = objects
                .last()
                .filter(|last| depth == 0 && last.name == "ruleset");
            if let Some(name) = begun.and_then(|object| object.parameters.get("name")) {
                parts.push((None, std::mem::take(&mut legacy)));
                ruleset = Some(name.to_ascii_lowercase());
            }
            depth += 1;
        } else if character == '}' {
            depth = depth.saturating_sub(1);
            if depth == 0 && ruleset.is_some() {
                parts.push((ruleset.take(), std::mem::take(&mut legacy)));
            }
        }
        legacy.push(character);
        if character.is_whitespace() {
            ended = true;
            continue;
        }
        if ended || !is_word(character) {
            word.clear();
        }
        ended = false;
        if is_word(character) {
            word.push(character.to_ascii_lowercase());
        }
    }
    parts.push((ruleset, legacy));
    Parsed {
        objects,
        legacy: parts,
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '$')
}

/// Reads parameters up to the closing parenthesis.
fn parameters(rest: &mut Text<'_>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let mut name = String::new();
    let mut bare = None::<String>;
    while let Some(sign) = rest.next() {
        match (sign, &mut bare) {
            (Sign::Quoted(value), _) => {
                let _twice = parameters.insert(std::mem::take(&mut name), value);
                bare = None;
            }
            (Sign::Plain('='), None) => bare = Some(String::new()),
            (Sign::Plain(end), _) if end == ')' || end.is_whitespace() => {
                // White space may stand around the equals sign.
                if let Some(value) = bare.take_if(|value| !value.is_empty()) {
                    let _twice = parameters.insert(std::mem::take(&mut name), value);
                }
                if end == ')' {
                    break;
                }
            }
            (Sign::Plain(character), Some(value)) => value.push(character),
            (Sign::Plain(character), None) => name.push(character.to_ascii_lowercase()),
        }
    }
    parameters
}

/// What comes next in a file.
enum Sign {
    Plain(char),
    /// The inside of a quoted text.
    Quoted(String),
}

/// A file without its comments.
struct Text<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    /// A `#` begins a comment here: at the beginning of a word.
    word_begins: bool,
}

impl<'a> Text<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            word_begins: true,
        }
    }

    fn next(&mut self) -> Option<Sign> {
        let character = self.rest.next()?;
        let begins = std::mem::replace(&mut self.word_begins, character.is_whitespace());
        match character {
            '#' if begins => {
                self.rest.by_ref().find(|character| *character == '\n');
                self.word_begins = true;
                Some(Sign::Plain('\n'))
            }
            '/' if begins && self.rest.peek() == Some(&'*') => {
                let mut before = ' ';
                self.rest.by_ref().skip(1).find(|character| {
                    let end = before == '*' && *character == '/';
                    before = *character;
                    end
                });
                self.word_begins = true;
                Some(Sign::Plain(' '))
            }
            '"' => Some(self.quoted('"').0),
            // It quotes in expressions, and is a sign like others in paths: in those nothing closes
            // it before the line ends.
            '\'' => {
                let before = self.rest.clone();
                let (sign, closed) = self.quoted('\'');
                if closed {
                    return Some(sign);
                }
                self.rest = before;
                Some(Sign::Plain('\''))
            }
            plain => Some(Sign::Plain(plain)),
        }
    }

    /// The inside of a quoted text, and whether it was closed. One in single quotes has one line.
    fn quoted(&mut self, quote: char) -> (Sign, bool) {
        let mut inside = String::new();
        let mut closed = false;
        while let Some(character) = self.rest.next() {
            closed = character == quote;
            let long = QUOTED_BYTES_MAX < inside.len();
            if closed || quote == '\'' && (character == '\n' || long) {
                break;
            }
            // A backslash takes the meaning of the next sign away.
            if character == '\\' {
                inside.extend(self.rest.next());
            } else {
                inside.push(character);
            }
        }
        (Sign::Quoted(inside), closed)
    }
}
