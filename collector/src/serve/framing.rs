//! Cuts a stream of syslog messages into lines.
//!
//! Octet counting (RFC 5425, section 4.3; RFC 6587, section 3.4.1): `<length> <message>`. Else a
//! message ends with a newline (RFC 6587, section 3.4.2). Each message says by its first byte which
//! of the two it is: a length begins with a digit that is not 0, a message with `<`.

use std::mem;

/// Longest part of a message that is looked at; what follows is passed over.
pub(super) const LINE_BYTES_MAX: usize = 8 * 1024;
/// Most digits of a length. A longer number is the beginning of a message without a length.
const LENGTH_DIGITS_MAX: usize = 7;

/// Cuts bytes into lines, in bounded memory whatever comes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    state: State,
    line: Vec<u8>,
    /// The line is longer than what is kept of it.
    cut: bool,
}

#[derive(Clone, Copy, Debug, Default)]
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
}

impl Lines {
    /// Takes what came and gives each line that is whole by now, and whether it was cut.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8], bool)) {
        while let Some((first, after)) = bytes.split_first() {
            match self.state {
                State::Between => match first {
                    b'\n' | b'\r' | 0 => bytes = after,
                    b'1'..=b'9' => self.state = State::Length,
                    _ => self.state = State::Ended,
                },
                State::Length => match first {
                    b'0'..=b'9' if self.line.len() < LENGTH_DIGITS_MAX => {
                        self.line.push(*first);
                        bytes = after;
                    }
                    b' ' => {
                        let digits = mem::take(&mut self.line);
                        let length = digits.iter().fold(0_usize, |length, digit| {
                            let digit = usize::from(digit.saturating_sub(b'0'));
                            length.saturating_mul(10).saturating_add(digit)
                        });
                        self.state = State::Counted(length);
                        bytes = after;
                    }
                    _ => self.state = State::Ended,
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
            }
        }
    }

    /// Gives the line that was begun, as the stream has ended.
    pub(super) fn finish(&mut self, line: &mut impl FnMut(&[u8], bool)) {
        self.state = State::Between;
        let begun = mem::take(&mut self.line);
        let cut = mem::take(&mut self.cut);
        if !begun.is_empty() {
            line(&begun, cut);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.cut |= room < part.len();
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
    fn both_framings_are_read_also_in_turn() {
        let stream = b"7 <1>a\nbc<2>d\n\n<3>e\r\n4 <4>f13 2026-01-02 <50 \n2026-01-02 g\n<6>end";
        let wanted = whole(&[
            "<1>a\nbc",
            "<2>d",
            "<3>e\r",
            "<4>f",
            "2026-01-02 <5",
            "2026-01-02 g",
            "<6>end",
        ]);
        // The zero begins no length, so the message `0 ` ends with its newline.
        let mut wanted = wanted;
        wanted.insert(5, ("0 ".to_owned(), false));
        for piece in 1..stream.len() {
            assert_eq!(lines(stream, piece), wanted, "{piece}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_next_line_is_whole() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        for stream in [
            format!("{} {long}3 <1>", long.len()),
            format!("<{long}\n3 <1>"),
        ] {
            let found = lines(stream.as_bytes(), 1000);
            assert_eq!(found.len(), 2);
            assert_eq!((found[0].0.len(), found[0].1), (LINE_BYTES_MAX, true));
            assert_eq!(found[1], ("<1>".to_owned(), false));
        }
        let exact = format!("<{}\n", "x".repeat(LINE_BYTES_MAX - 1));
        assert!(!lines(exact.as_bytes(), 1000)[0].1);
        // More digits than a length has: no length.
        let found = lines(b"99999999 a\n<1>b\n", 3);
        assert_eq!(found, whole(&["99999999 a", "<1>b"]));
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
