//! One row of a SQLite table: columns by place, values by type.
//!
//! Source: <https://sqlite.org/fileformat2.html> section 2.1.

/// Most columns of a table that is read.
const COLUMNS_MAX: usize = 64;

/// A number of at most eight bytes, the most significant first.
pub(super) fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(bytes.iter().fold(0, add))
}

/// A number of one to nine bytes, and where it ends.
pub(super) fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in bytes.get(at..)?.iter().take(9).enumerate() {
        if index == 8 {
            value = value << 8 | u64::from(*byte);
            return Some((value.cast_signed(), at + 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value.cast_signed(), at + index + 1));
        }
    }
    None
}

/// The columns of a table.
#[derive(Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
    /// The column that is the id of the row, and is not stored.
    id: Option<usize>,
}

impl Columns {
    /// Columns from the statement that made the table.
    pub(super) fn of(sql: &str) -> Self {
        let sql = without_comments(sql);
        let inside = sql.split_once('(').map_or("", |(_, rest)| rest);
        let mut columns = Self::default();
        let mut depth = 0_usize;
        let ends = |c: char| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        };
        for definition in inside.split(ends).take(COLUMNS_MAX) {
            let mut words = definition.split_whitespace();
            let name = words.next().unwrap_or_default();
            let name = name.trim_matches(['"', '\'', '`', '[', ']', ')']);
            let constraint = ["PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "CONSTRAINT"];
            if constraint
                .iter()
                .any(|word| word.eq_ignore_ascii_case(name))
            {
                break;
            }
            let rest = words.collect::<Vec<_>>().join(" ").to_ascii_uppercase();
            if rest.starts_with("INTEGER PRIMARY KEY") {
                columns.id = Some(columns.names.len());
            }
            columns.names.push(name.to_owned());
        }
        columns
    }

    /// The place of a column.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}

fn without_comments(sql: &str) -> String {
    let mut rest = sql;
    let mut kept = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        kept.push(' ');
        rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
    }
    kept.push_str(rest);
    let lines = kept.lines();
    let code = lines.map(|line| line.split_once("--").map_or(line, |(code, _)| code));
    code.collect::<Vec<_>>().join(" ")
}

/// One row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    id: i64,
    id_place: Option<usize>,
    /// Type and bytes of each column that is stored; those added to a table later may be missing.
    values: Vec<(i64, &'a [u8])>,
}

impl<'a> Row<'a> {
    /// The row in a payload; `None` when it is damaged.
    pub(super) fn of(columns: &Columns, id: i64, payload: &'a [u8]) -> Option<Self> {
        let (header, mut at) = varint(payload, 0)?;
        let header = usize::try_from(header).ok()?;
        let mut from = header;
        let mut values = Vec::with_capacity(columns.names.len());
        while at < header {
            let (kind, next) = varint(payload, at)?;
            at = next;
            let length = match kind {
                0 | 8 | 9 => 0,
                1..=4 => usize::try_from(kind).ok()?,
                5 => 6,
                6 | 7 => 8,
                12.. => usize::try_from((kind - 12) / 2).ok()?,
                _ => return None,
            };
            let end = from.checked_add(length)?;
            values.push((kind, payload.get(from..end)?));
            from = end;
        }
        (at == header && from == payload.len()).then_some(Self {
            id,
            id_place: columns.id,
            values,
        })
    }

    /// A whole number; `None` when the column has none.
    pub(super) fn integer(&self, place: usize) -> Option<i64> {
        if self.id_place == Some(place) {
            return Some(self.id);
        }
        let (kind, bytes) = self.values.get(place)?;
        match kind {
            1..=6 => {
                let value = number(bytes, 0, bytes.len())?.cast_signed();
                let unused = 64_usize.saturating_sub(8 * bytes.len());
                Some(value << unused >> unused)
            }
            8 => Some(0),
            9 => Some(1),
            _ => None,
        }
    }

    /// A text; `None` when the column has none.
    pub(super) fn text(&self, place: usize) -> Option<&'a str> {
        let (kind, bytes) = self.values.get(place)?;
        let text = 13 <= *kind && kind % 2 == 1;
        text.then(|| std::str::from_utf8(bytes).ok()).flatten()
    }

    /// Bytes; `None` when the column has none.
    pub(super) fn blob(&self, place: usize) -> Option<&'a [u8]> {
        let (kind, bytes) = self.values.get(place)?;
        (12 <= *kind && kind % 2 == 0).then_some(bytes)
    }
}
