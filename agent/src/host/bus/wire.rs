//! Messages of D-Bus: a method call as bytes, and bytes as an answer.
//!
//! ```text
//! u8 order (l or B), u8 kind, u8 flags, u8 version 1, u32 length of the body, u32 number,
//! array of (u8 field, variant), zeros up to a multiple of 8, body
//! ```
//!
//! Calls are little endian; answers may be either. Values become JSON, as `busctl --json` shows
//! them without its types: structures and arrays are arrays, dictionaries with texts as keys are
//! objects, variants are what is in them.
//!
//! Source: D-Bus Specification 0.43, "Type system" and "Message protocol".

use serde_json::{Map, Number, Value};

/// Longest message that is read; the specification allows 128 MiB.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most values of one message: each takes some 30 bytes of memory, however small it is.
const VALUES_MAX: usize = 128 * 1024;
/// Deepest nesting of arrays, structures and variants; the specification allows 64.
const DEPTH_MAX: usize = 32;
/// Bytes before the fields of the header.
pub(super) const HEAD_BYTES: usize = 16;

/// Flag of a call: nothing is started for it. Looking never starts a service.
const NO_AUTO_START: u8 = 0x2;

/// A method call: where it goes, and arguments that are texts or lists of texts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) arguments: &'a [Argument<'a>],
}

/// One argument of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    Texts(&'a [&'a str]),
}

impl Call<'_> {
    /// The message with this number.
    pub(super) fn bytes(&self, number: u32) -> Vec<u8> {
        let mut body = Writer::default();
        let mut signature = String::new();
        for argument in self.arguments {
            match argument {
                Argument::Text(text) => {
                    signature.push('s');
                    body.text(text);
                }
                Argument::Texts(texts) => {
                    signature.push_str("as");
                    let mut list = Writer::default();
                    texts.iter().for_each(|text| list.text(text));
                    body.sized(&list.0);
                }
            }
        }
        let mut fields = Writer::default();
        for (field, kind, text) in [
            (1, b'o', self.path),
            (2, b's', self.interface),
            (3, b's', self.member),
            (6, b's', self.destination),
        ] {
            fields.align(8);
            fields.0.extend([field, 1, kind, 0]);
            fields.text(text);
        }
        if !signature.is_empty() {
            fields.align(8);
            fields.0.extend([8, 1, b'g', 0]);
            fields.signature(&signature);
        }
        let mut message = Writer(vec![b'l', 1, NO_AUTO_START, 1]);
        message.u32(length(&body.0));
        message.u32(number);
        message.sized(&fields.0);
        message.align(8);
        message.0.extend(body.0);
        message.0
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Bytes of a message that is being written.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    #[expect(
        clippy::little_endian_bytes,
        reason = "calls are little endian, as those of every other client"
    )]
    fn u32(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.sized(text.as_bytes());
        self.0.push(0);
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.u32(length(bytes));
        self.0.extend(bytes);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text.bytes());
        self.0.push(0);
    }
}

/// A message that was received.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    /// The number of the call that it answers; 0 when it answers none.
    pub(super) answers: u32,
    /// Name of the error, when it is one.
    pub(super) error: Option<String>,
    /// What it carries.
    pub(super) body: Vec<Value>,
}

/// Length of the whole message that begins with these bytes; `None` when it is none, or too long.
pub(super) fn message_length(head: &[u8; HEAD_BYTES]) -> Option<usize> {
    let mut head = Reader::new(head)?;
    let (_head, body) = (head.take(4)?, head.u32()?);
    let (_number, fields) = (head.u32()?, head.u32()?);
    let fields = usize::try_from(fields).ok()?.checked_next_multiple_of(8)?;
    HEAD_BYTES
        .checked_add(fields)?
        .checked_add(usize::try_from(body).ok()?)
        .filter(|length| *length <= MESSAGE_BYTES_MAX)
}

impl Message {
    /// Reads a whole message; `None` when it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
        let [_order, kind, _flags, 1, ..] = *head else {
            return None;
        };
        if message_length(head)? != bytes.len() {
            return None;
        }
        let mut reader = Reader::new(bytes)?;
        let _head = reader.take(12)?;
        let Value::Array(fields) = reader.value(&mut b"a(yv)".as_slice(), 0)? else {
            return None;
        };
        let field = |wanted: u8| {
            let value = fields
                .iter()
                .find(|field| field.get(0) == Some(&wanted.into()))?;
            value.get(1)
        };
        let number = |field: &Value| u32::try_from(field.as_u64()?).ok();
        let answers = field(5).and_then(number).unwrap_or(0);
        let text = |field: &Value| field.as_str().map(str::to_owned);
        let error = field(4).and_then(text).filter(|_| kind == 3);
        let signature = field(8).and_then(text).unwrap_or_default();
        reader.align(8)?;
        let mut signature = signature.as_bytes();
        let mut body = Vec::new();
        while !signature.is_empty() {
            body.push(reader.value(&mut signature, 0)?);
        }
        // Calls and signals answer nothing, whatever they claim.
        let answers = if matches!(kind, 2 | 3) { answers } else { 0 };
        (reader.at == bytes.len()).then_some(Self {
            answers,
            error,
            body,
        })
    }
}

/// Bytes of a message that is being read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
    values_left: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let little = match bytes.first()? {
            b'l' => true,
            b'B' => false,
            _ => return None,
        };
        Some(Self {
            bytes,
            at: 0,
            little,
            values_left: VALUES_MAX,
        })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let zeros = self.at.next_multiple_of(to) - self.at;
        self.take(zeros).map(drop)
    }

    /// An integer of `N` bytes, in big-endian order.
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        let mut bytes: [u8; N] = *self.take(N)?.first_chunk()?;
        if self.little {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn text(&mut self, length: usize) -> Option<Value> {
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        let text = text.to_owned();
        (self.take(1)? == [0]).then_some(Value::String(text))
    }

    /// One value, and takes its type off the signature.
    fn value(&mut self, signature: &mut &[u8], depth: usize) -> Option<Value> {
        self.values_left = self.values_left.checked_sub(1)?;
        if DEPTH_MAX < depth {
            return None;
        }
        let (kind, rest) = signature.split_first()?;
        *signature = rest;
        Some(match kind {
            b'y' => self.array::<1>().map(u8::from_be_bytes)?.into(),
            b'n' => self.array().map(i16::from_be_bytes)?.into(),
            b'q' => self.array().map(u16::from_be_bytes)?.into(),
            b'i' => self.array().map(i32::from_be_bytes)?.into(),
            b'u' => self.u32()?.into(),
            b'x' => self.array().map(i64::from_be_bytes)?.into(),
            b't' => self.array().map(u64::from_be_bytes)?.into(),
            // What is no number has no form in JSON.
            b'd' => Number::from_f64(self.array().map(f64::from_be_bytes)?)
                .map_or(Value::Null, Value::Number),
            b'b' => match self.u32()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return None,
            },
            b's' | b'o' => {
                let length = usize::try_from(self.u32()?).ok()?;
                self.text(length)?
            }
            b'g' => {
                let [length] = self.array()?;
                self.text(length.into())?
            }
            b'v' => {
                let [length] = self.array()?;
                let kind = self.text(length.into())?;
                let mut kind = kind.as_str()?.as_bytes();
                let value = self.value(&mut kind, depth + 1)?;
                kind.is_empty().then_some(value)?
            }
            b'a' => self.list(signature, depth)?,
            b'(' => {
                self.align(8)?;
                let mut values = Vec::new();
                while signature.first()? != &b')' {
                    values.push(self.value(signature, depth + 1)?);
                }
                *signature = signature.get(1..)?;
                Value::Array(values)
            }
            // Handles of files are never agreed on.
            _ => return None,
        })
    }

    /// The elements of an array, whose type stands next in the signature.
    fn list(&mut self, signature: &mut &[u8], depth: usize) -> Option<Value> {
        let (element, rest) = signature.split_at_checked(type_length(signature, depth)?)?;
        *signature = rest;
        let bytes = usize::try_from(self.u32()?).ok()?;
        self.align(alignment(*element.first()?))?;
        let end = self.at.checked_add(bytes)?;
        if self.bytes.len() < end {
            return None;
        }
        let Some(entry) = element.strip_prefix(b"{") else {
            let mut values = Vec::new();
            while self.at < end {
                values.push(self.value(&mut &*element, depth + 1)?);
            }
            return (self.at == end).then_some(Value::Array(values));
        };
        let mut entries = Map::new();
        while self.at < end {
            self.align(8)?;
            let mut entry = entry;
            let key = match self.value(&mut entry, depth + 1)? {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            let value = self.value(&mut entry, depth + 1)?;
            drop(entries.insert(key, value));
        }
        (self.at == end).then_some(Value::Object(entries))
    }
}

/// Length of the first whole type of a signature.
fn type_length(signature: &[u8], depth: usize) -> Option<usize> {
    let (kind, rest) = signature.split_first()?;
    if DEPTH_MAX < depth {
        return None;
    }
    let close = match kind {
        b'a' => return Some(1 + type_length(rest, depth + 1)?),
        b'(' => b')',
        b'{' => b'}',
        _ => return Some(1),
    };
    let mut length = 1;
    while signature.get(length)? != &close {
        length += type_length(signature.get(length..)?, depth + 1)?;
    }
    Some(length + 1)
}

/// The multiple at which a value of this type begins.
fn alignment(kind: u8) -> usize {
    match kind {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
