//! One check on one host over a period: stretches of time, deviations, gaps.

use serde::Serialize;
use shared::id::Digest;
use shared::time::Timestamp;

use super::given::Window;
use crate::catalog::Verdict;
use crate::status::Span;

/// A stretch of time with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// When.
    pub window: Window,
    /// What the check said.
    pub verdict: Verdict,
    /// There was no evidence that counts.
    pub gap: bool,
    /// It failed, and an exception was in force.
    pub excepted: bool,
}

/// What a check said of a host over a period, without overlap and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Piece>);

/// How long a check said what, in milliseconds. `passing`, `failing`, `unknown` and
/// `not_applicable` add up to `expected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shares {
    /// Time in which the host was expected to be judged.
    pub expected_ms: i64,
    /// It passed.
    pub passing_ms: i64,
    /// It failed, excepted or not.
    pub failing_ms: i64,
    /// Of the failing time: an exception was in force.
    pub excepted_ms: i64,
    /// Nothing could be told.
    pub unknown_ms: i64,
    /// Of the unknown time: there was no evidence that counts.
    pub gap_ms: i64,
    /// The check did not concern the host.
    pub not_applicable_ms: i64,
}

impl Shares {
    /// Adds one stretch.
    pub const fn add(&mut self, piece: &Piece) {
        let ms = piece.window.ms();
        self.expected_ms = self.expected_ms.saturating_add(ms);
        let sum = match piece.verdict {
            Verdict::Pass => &mut self.passing_ms,
            Verdict::Fail => &mut self.failing_ms,
            Verdict::Unknown => &mut self.unknown_ms,
            Verdict::NotApplicable => &mut self.not_applicable_ms,
        };
        *sum = sum.saturating_add(ms);
        if piece.excepted {
            self.excepted_ms = self.excepted_ms.saturating_add(ms);
        }
        if piece.gap {
            self.gap_ms = self.gap_ms.saturating_add(ms);
        }
    }

    /// Adds those of another line.
    pub const fn add_all(&mut self, other: &Self) {
        self.expected_ms = self.expected_ms.saturating_add(other.expected_ms);
        self.passing_ms = self.passing_ms.saturating_add(other.passing_ms);
        self.failing_ms = self.failing_ms.saturating_add(other.failing_ms);
        self.excepted_ms = self.excepted_ms.saturating_add(other.excepted_ms);
        self.unknown_ms = self.unknown_ms.saturating_add(other.unknown_ms);
        self.gap_ms = self.gap_ms.saturating_add(other.gap_ms);
        self.not_applicable_ms = self
            .not_applicable_ms
            .saturating_add(other.not_applicable_ms);
    }
}

impl Line {
    /// The sums.
    #[must_use]
    pub fn shares(&self) -> Shares {
        let mut shares = Shares::default();
        self.0.iter().for_each(|piece| shares.add(piece));
        shares
    }
}

/// What a check said of a host in the windows in which it was expected to.
///
/// `spans` are in order and may begin before the windows; one that lasts is taken to the end of
/// its window. `expected` are in order without overlap: what no span covers there is unknown for
/// want of evidence. `excepted` are the exceptions of this finding, in any order.
#[must_use]
pub fn line(spans: &[Span], expected: &[Window], excepted: &[Window]) -> Line {
    let mut pieces = Vec::new();
    for window in expected {
        let mut at = window.from;
        for span in spans {
            let to = span.to.unwrap_or(window.to);
            let Some(part) = (Window {
                from: span.from,
                to,
            })
            .cut(*window) else {
                continue;
            };
            blank(at, part.from, &mut pieces);
            if span.verdict == Verdict::Fail {
                cut_excepted(part, excepted, &mut pieces);
            } else {
                pieces.push(Piece {
                    window: part,
                    verdict: span.verdict,
                    gap: span.stale,
                    excepted: false,
                });
            }
            at = part.to;
        }
        blank(at, window.to, &mut pieces);
    }
    Line(pieces)
}

/// Time without any evidence.
fn blank(from: Timestamp, to: Timestamp, pieces: &mut Vec<Piece>) {
    if from < to {
        pieces.push(Piece {
            window: Window { from, to },
            verdict: Verdict::Unknown,
            gap: true,
            excepted: false,
        });
    }
}

/// A failing stretch, cut where exceptions begin and end.
fn cut_excepted(part: Window, excepted: &[Window], pieces: &mut Vec<Piece>) {
    let inside: Vec<_> = excepted.iter().filter_map(|one| one.cut(part)).collect();
    let mut edges = vec![part.from, part.to];
    edges.extend(inside.iter().flat_map(|one| [one.from, one.to]));
    edges.sort();
    edges.dedup();
    for (from, to) in edges.iter().zip(edges.iter().skip(1)) {
        let (from, to) = (*from, *to);
        pieces.push(Piece {
            window: Window { from, to },
            verdict: Verdict::Fail,
            gap: false,
            excepted: inside.iter().any(|one| one.holds(from)),
        });
    }
}

/// The worst of several lines at each moment: failing, then unknown, then passing. It is excepted
/// only where all that fails is.
pub(super) fn worst(lines: &[Line]) -> Line {
    let pieces = || lines.iter().flat_map(|line| &line.0);
    let mut edges: Vec<_> = pieces()
        .flat_map(|piece| [piece.window.from, piece.window.to])
        .collect();
    edges.sort();
    edges.dedup();
    let mut rest: Vec<&[Piece]> = lines.iter().map(|line| line.0.as_slice()).collect();
    let mut found: Vec<Piece> = Vec::new();
    for (from, to) in edges.iter().zip(edges.iter().skip(1)) {
        let window = Window {
            from: *from,
            to: *to,
        };
        let mut now: Option<Piece> = None;
        for line in &mut rest {
            while let Some((first, others)) = line.split_first()
                && first.window.to <= window.from
            {
                *line = others;
            }
            let Some(piece) = line.first().filter(|one| one.window.holds(window.from)) else {
                continue;
            };
            now = Some(now.map_or(Piece { window, ..*piece }, |now| worse(now, piece)));
        }
        let Some(now) = now else { continue };
        match found.last_mut() {
            Some(last)
                if last.window.to == window.from
                    && (last.verdict, last.gap, last.excepted)
                        == (now.verdict, now.gap, now.excepted) =>
            {
                last.window.to = window.to;
            }
            _ => found.push(now),
        }
    }
    Line(found)
}

fn worse(now: Piece, other: &Piece) -> Piece {
    let window = now.window;
    match now.verdict.rank().cmp(&other.verdict.rank()) {
        std::cmp::Ordering::Less => now,
        std::cmp::Ordering::Greater => Piece { window, ..*other },
        std::cmp::Ordering::Equal => Piece {
            gap: now.gap || other.gap,
            excepted: now.excepted && other.excepted,
            ..now
        },
    }
}

/// The longest stretch without evidence that counts; of equal ones the first.
#[must_use]
pub fn longest_gap(line: &Line) -> Option<Window> {
    let mut longest: Option<Window> = None;
    let mut open: Option<Window> = None;
    for piece in line.0.iter().filter(|piece| piece.gap) {
        let begun = open.filter(|open| open.to == piece.window.from);
        let gap = Window {
            from: begun.map_or(piece.window.from, |open| open.from),
            to: piece.window.to,
        };
        open = Some(gap);
        if longest.is_none_or(|longest| longest.ms() < gap.ms()) {
            longest = Some(gap);
        }
    }
    longest
}

/// How a deviation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Not by the end of the period.
    Open,
    /// Evidence showed that it was over.
    Fixed,
    /// The host or the check left before evidence showed that it was over.
    Left,
}

/// A stretch from the first failure to the evidence that it is over.
///
/// Not knowing ends no deviation: a host that failed and then fell silent still deviates, until
/// evidence says that it passes, or that the check does not concern it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// When the first failure was collected; this can lie before the period.
    pub from: Timestamp,
    /// When it was over, or the end of the period for an open one.
    pub to: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// From `from` to `to`.
    pub length_ms: i64,
    /// Of the length: exceptions were in force.
    pub excepted_ms: i64,
    /// From the last pass that was collected to the receipt of the first failure. The failure
    /// began somewhere in between, so this is the most that detection took; `None` when nothing
    /// passed before, or the record of the failure is not here.
    pub detected_within_ms: Option<i64>,
    /// It lasted longer than its severity allows, time under an exception not counted.
    pub late: bool,
    /// The record of the first failure.
    pub record: Option<Digest>,
    /// The record that showed that it was over.
    pub fixed_by: Option<Digest>,
    /// Why it failed, in one line.
    pub reason: String,
}

/// What the records say beside the spans.
pub struct Known<'a> {
    /// When the last evidence of a span was collected.
    pub last_collected: &'a dyn Fn(&Span) -> Option<Timestamp>,
    /// When a record was received.
    pub received: &'a dyn Fn(&Digest) -> Option<Timestamp>,
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// The deviations of one check on one host that touch a period, in order.
///
/// `spans` are all from the beginning, `sla_ms` is what the severity allows.
#[must_use]
pub fn deviations(
    spans: &[Span],
    period: Window,
    (excepted, sla_ms): (&[Window], i64),
    known: &Known<'_>,
) -> Vec<Deviation> {
    let mut found = Vec::new();
    let mut open: Option<(&Span, Option<i64>)> = None;
    let mut passed: Option<&Span> = None;
    let mut before: Option<&Span> = None;
    let spans = spans.iter().filter(|span| span.from < period.to);
    let mut finish = |begun: (&Span, Option<i64>), to: Timestamp, end: (Ending, Option<Digest>)| {
        let window = Window {
            from: begun.0.from,
            to: to.min(period.to),
        };
        if window.cut(period).is_some() {
            found.push(deviation(begun, window, end, (excepted, sla_ms)));
        }
    };
    for span in spans {
        // Where spans do not follow each other, the host or the check was away in between.
        let ended = before
            .and_then(|before| before.to)
            .filter(|to| *to < span.from);
        if let Some(ended) = ended {
            if let Some(begun) = open.take() {
                finish(begun, ended, (Ending::Left, None));
            }
            passed = None;
        }
        match span.verdict {
            Verdict::Fail if open.is_none() => {
                let last = passed.and_then(|pass| (known.last_collected)(pass));
                let last = last.or_else(|| passed.map(|pass| pass.from));
                let received = span.record.as_ref().and_then(known.received);
                let within = last
                    .zip(received)
                    .map(|(last, at)| at.ms_since(last).max(0));
                open = Some((span, within));
            }
            Verdict::Fail | Verdict::Unknown => {}
            Verdict::Pass | Verdict::NotApplicable => {
                if let Some(begun) = open.take() {
                    finish(begun, span.from, (Ending::Fixed, span.record));
                }
                passed = (span.verdict == Verdict::Pass).then_some(span);
            }
        }
        before = Some(span);
    }
    if let Some(begun) = open {
        let ended = before.and_then(|last| last.to).filter(|to| *to < period.to);
        match ended {
            Some(ended) => finish(begun, ended, (Ending::Left, None)),
            None => finish(begun, period.to, (Ending::Open, None)),
        }
    }
    found
}

fn deviation(
    (span, detected_within_ms): (&Span, Option<i64>),
    window: Window,
    (ending, fixed_by): (Ending, Option<Digest>),
    (excepted, sla_ms): (&[Window], i64),
) -> Deviation {
    let excepted_ms = covered_ms(window, excepted);
    let length_ms = window.ms();
    Deviation {
        from: window.from,
        to: window.to,
        ending,
        length_ms,
        excepted_ms,
        detected_within_ms,
        late: sla_ms < length_ms.saturating_sub(excepted_ms),
        record: span.record,
        fixed_by,
        reason: span.reason.clone(),
    }
}

/// How much of a window others cover, each moment counted once.
fn covered_ms(window: Window, others: &[Window]) -> i64 {
    let mut inside: Vec<_> = others.iter().filter_map(|one| one.cut(window)).collect();
    inside.sort();
    let mut covered = 0_i64;
    let mut at = window.from;
    for one in inside {
        let rest = Window {
            from: one.from.max(at),
            to: one.to,
        };
        covered = covered.saturating_add(rest.ms());
        at = at.max(one.to);
    }
    covered
}
