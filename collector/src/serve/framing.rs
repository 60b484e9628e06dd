//! Cuts a stream of syslog messages into lines.
//!
//! Octet counting (RFC 5425, section 4.3; RFC 6587, section 3.4.1): `<length> <message>`. Else a
//! message ends with a newline (RFC 6587, section 3.4.2). The first message says which of the two a
//! connection uses, and it is held to that: else a line that begins with a number would pass for a
//! length, and swallow the lines of others that come over the same connection.

use std::mem;

/// Longest part of a message that is looked at; what follows is passed over.
pub(super) const LINE_BYTES_MAX: usize = 8 * 1024;
/// Longest message whose length is believed.
const LENGTH_MAX: usize = 64 * 1024;
/// Most digits of a length.
const LENGTH_DIGITS_MAX: usize = 5;

/// Cuts bytes into lines, in bounded memory whatever comes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    framing: Framing,
    state: State,
    line: Vec<u8>,
    /// The line is longer than what is kept of it.
    cut: bool,
    /// Bytes were passed over since this was asked last.
    hidden: bool,
}

/// What is known of a connection since its first message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Framing {
    #[default]
    Unknown,
    Counting,
    Newlines,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between two messages.
    #[default]
    Between,
    /// In the digits of a length, which stand in the line until it is known that they are one.
    Length,
    /// In a message of which so many bytes are still to come.
    Counted(usize),
    /// In a message that ends with a newline.
    Ended,
    /// There is no length where one must be: nobody knows where the next message begins.
    Broken,
}

impl Lines {
    /// Takes what came and gives each line that is whole by now, and whether it was cut.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8], bool)) {
        while let Some((first, after)) = bytes.split_first() {
            match self.state {
                State::Between => match first {
                    b'\n' | b'\r' | 0 => bytes = after,
                    b'1'..=b'9' if self.framing != Framing::Newlines => {
                        self.state = State::Length;
                    }
                    _ => self.uncounted(),
                },
                State::Length => match first {
                    b'0'..=b'9' if self.line.len() < LENGTH_DIGITS_MAX => {
                        self.line.push(*first);
                        bytes = after;
                    }
                    b' ' if self.length() <= LENGTH_MAX => {
                        self.state = State::Counted(self.length());
                        self.framing = Framing::Counting;
                        self.line.clear();
                        bytes = after;
                    }
                    _ => self.uncounted(),
                },
                State::Counted(left) => {
                    let (part, rest) = bytes.split_at(left.min(bytes.len()));
                    self.keep(part);
                    bytes = rest;
                    match left.saturating_sub(part.len()) {
                        0 => self.finish(&mut line),
                        left => self.state = State::Counted(left),
                    }
                }
                State::Ended => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.keep(part);
                    bytes = rest;
                    if end.is_some() {
                        self.finish(&mut line);
                    }
                }
                State::Broken => {
                    self.hidden = true;
                    return;
                }
            }
        }
    }

    /// Whether bytes that came since the last question were passed over, unseen.
    pub(super) fn hidden(&mut self) -> bool {
        mem::take(&mut self.hidden)
    }

    /// Whether the messages of this connection can be told apart no longer.
    pub(super) fn broken(&self) -> bool {
        self.state == State::Broken
    }

    /// There is no length here: the first message says by that how all of them end.
    fn uncounted(&mut self) {
        if self.framing == Framing::Counting {
            self.line.clear();
            self.state = State::Broken;
        } else {
            self.framing = Framing::Newlines;
            self.state = State::Ended;
        }
    }

    /// The number whose digits stand in the line.
    fn length(&self) -> usize {
        self.line.iter().fold(0_usize, |length, digit| {
            let digit = usize::from(digit.saturating_sub(b'0'));
            length.saturating_mul(10).saturating_add(digit)
        })
    }

    /// Gives the line that was begun, as the stream has ended.
    pub(super) fn finish(&mut self, line: &mut impl FnMut(&[u8], bool)) {
        if self.state != State::Broken {
            self.state = State::Between;
        }
        let begun = mem::take(&mut self.line);
        let cut = mem::take(&mut self.cut);
        if !begun.is_empty() {
            line(&begun, cut);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        let cut = room < part.len();
        self.cut |= cut;
        self.hidden |= cut;
        self.line.extend(part.iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of a stream that comes in pieces of this size.
    fn lines(stream: &[u8], piece: usize) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        let mut keep = |line: &[u8], cut| {
            found.push((String::from_utf8_lossy(line).into_owned(), cut));
        };
        let mut lines = Lines::default();
        for piece in stream.chunks(piece) {
            lines.take(piece, &mut keep);
            assert!(lines.line.len() <= LINE_BYTES_MAX);
        }
        lines.finish(&mut keep);
        found
    }

    fn whole(texts: &[&str]) -> Vec<(String, bool)> {
        texts
            .iter()
            .map(|text| ((*text).to_owned(), false))
            .collect()
    }

    #[test]
    fn both_framings_are_read() {
        let counted = b"7 <1>a\nbc5 <3>e\r\n4 <4>f13 2026-01-02 <5";
        let wanted = whole(&["<1>a\nbc", "<3>e\r", "<4>f", "2026-01-02 <5"]);
        for piece in 1..counted.len() {
            assert_eq!(lines(counted, piece), wanted, "{piece}");
        }
        let ended = b"\n<2>d\n\n<3>e\r\n0 \n2026-01-02 g\n<6>end";
        let wanted = whole(&["<2>d", "<3>e\r", "0 ", "2026-01-02 g", "<6>end"]);
        for piece in 1..ended.len() {
            assert_eq!(lines(ended, piece), wanted, "{piece}");
        }
    }

    #[test]
    fn a_connection_is_held_to_the_framing_of_its_first_message() {
        // A line that begins with a number swallows no other.
        let found = lines(b"<1>a\n9999 b\n<1>c\n", 4);
        assert_eq!(found, whole(&["<1>a", "9999 b", "<1>c"]));
        // Where a length must be there is none, or one that nobody believes.
        for after in ["<1>b\n4 <1>c\n", "x", "65537 <1>b", "999999 <1>b"] {
            let mut cut = Lines::default();
            let mut found = Vec::new();
            let stream = format!("4 <1>a{after}");
            for piece in stream.as_bytes().chunks(1) {
                cut.take(piece, |line, _cut| found.push(line.to_vec()));
            }
            assert_eq!(found, [b"<1>a"], "{after}");
            assert!(cut.broken(), "{after}");
            cut.take(b"4 <1>d", |line, _cut| panic!("{line:?}"));
            assert!(cut.hidden() && cut.broken());
        }
        // First of all it is no length then.
        for number in ["65537", "999999"] {
            let first = format!("{number} a");
            let found = lines(format!("{first}\n<1>b\n").as_bytes(), 3);
            assert_eq!(found, whole(&[&first, "<1>b"]));
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_next_line_is_whole() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        for stream in [
            format!("{} {long}3 <1>", long.len()),
            format!("<{long}\n<1>"),
        ] {
            let found = lines(stream.as_bytes(), 1000);
            assert_eq!(found.len(), 2);
            assert_eq!((found[0].0.len(), found[0].1), (LINE_BYTES_MAX, true));
            assert_eq!(found[1], ("<1>".to_owned(), false));
        }
        let exact = format!("<{}\n", "x".repeat(LINE_BYTES_MAX - 1));
        assert!(!lines(exact.as_bytes(), 1000)[0].1);
    }

    #[test]
    fn what_is_passed_over_is_told_at_once_and_as_long_as_it_lasts() {
        let mut cut = Lines::default();
        let mut take = |bytes: &[u8]| {
            cut.take(bytes, |_line, _cut| {});
            cut.hidden()
        };
        assert!(!take(&[b'x'; LINE_BYTES_MAX]));
        assert!(take(b"x"));
        assert!(take(b"x"));
        assert!(!take(b"\n<1>a"));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(stream: Vec<u8>, piece in 1_usize..64) {
            prop_assert_eq!(lines(&stream, piece), lines(&stream, stream.len().max(1)));
        }

        #[test]
        fn counted_messages_come_back(texts in prop::collection::vec("[^\0]{1,80}", 0..20)) {
            let framed: Vec<String> = texts.iter().map(|t| format!("{} {t}", t.len())).collect();
            let stream = framed.concat();
            let found = lines(stream.as_bytes(), 7);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            prop_assert_eq!(found, whole(&texts));
        }
    }
}
