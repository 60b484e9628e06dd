//! Tables of a SQLite database, read page by page with its write-ahead log; nothing is written.
//!
//! A library for SQLite opens such a file only when it may write a `-shm` file beside it, or it
//! leaves the write-ahead log out, and with it what was installed last. Here no lock is taken
//! either: sizes, times and headers are compared before and after, and a database that changed
//! meanwhile is read again. A rollback journal that a writer left means that pages may be half
//! written; then nothing is read.
//!
//! Source: <https://sqlite.org/fileformat2.html>.

use shared::observation::Status;

use super::sqlite_log::Log;
use super::sqlite_row::{Columns, Row, number, varint};
use crate::host::{Host, Parts, Stat, Unseen};

/// How often a database that changes is read anew.
const ATTEMPTS: usize = 3;
/// Deepest tree; one of four levels has millions of pages.
const DEPTH_MAX: usize = 20;
/// Longest row; the header of a package with 50,000 files has 6 MB.
const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
/// The first bytes of a rollback journal that is not finished.
const JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// A database while it is read.
pub(super) struct Database<'a> {
    path: &'a str,
    file: Box<dyn Parts>,
    log: Log,
    page_bytes: usize,
    /// Bytes of a page without those at its end that extensions use.
    usable: usize,
    pages: u32,
}

/// A table of a database.
#[derive(Debug)]
pub(super) struct Table {
    root: u32,
    columns: Columns,
}

impl Table {
    /// The place of a column in a row; `None` when the table has no such column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.place(name)
    }
}

/// Takes a page, the place of a row in it, and how many pages may still be read.
type Leaf<'a> = dyn FnMut(&[u8], usize, &mut u32) -> Result<(), Unseen> + 'a;

/// What tells that a database is still the same.
#[derive(PartialEq, Eq)]
struct State {
    stats: [Option<Stat>; 2],
    header: Vec<u8>,
    log: Option<Vec<u8>>,
}

/// Reads a database: `work` may run again, from its beginning, when the database changes.
///
/// # Errors
///
/// [`Unseen`] of the files and of `work`; [`Status::Failed`] when a writer is at work all the
/// time, or ended in the middle of it.
pub(super) fn read<T>(
    host: &dyn Host,
    path: &str,
    mut work: impl FnMut(&Database<'_>) -> Result<T, Unseen>,
) -> Result<T, Unseen> {
    for _attempt in 0..ATTEMPTS {
        let before = state(host, path)?;
        let result = Database::open(host, path).and_then(|database| work(&database));
        if before == state(host, path)? {
            return result;
        }
    }
    let why = "it changed each time that it was read";
    Err(Unseen::new(path, Status::Failed, Some(why)))
}

fn state(host: &dyn Host, path: &str) -> Result<State, Unseen> {
    let stat = host.stat(path)?;
    let log = format!("{path}-wal");
    let present = |result: Result<Stat, Unseen>| match result {
        Err(unseen) if unseen.is_absent() => Ok(None),
        result => result.map(Some),
    };
    let log_stat = present(host.stat(&log))?.filter(|stat| stat.bytes != 0);
    let journal = format!("{path}-journal");
    if let Some(stat) = present(host.stat(&journal))?
        && JOURNAL.len() <= usize::try_from(stat.bytes).unwrap_or(usize::MAX)
        && begin(host, &journal, JOURNAL.len())? == JOURNAL
    {
        let why = "a transaction is under way, or was cut off";
        return Err(Unseen::new(&journal, Status::Failed, Some(why)));
    }
    if stat.bytes < 512 {
        let why = Some("it is shorter than a page");
        return Err(Unseen::new(path, Status::Malformed, why));
    }
    let log_begin = match &log_stat {
        Some(stat) if Log::HEADER_BYTES_U64 <= stat.bytes => {
            Some(begin(host, &log, Log::HEADER_BYTES)?)
        }
        _ => None,
    };
    Ok(State {
        stats: [Some(stat), log_stat],
        header: begin(host, path, HEADER_BYTES)?,
        log: log_begin,
    })
}

fn begin(host: &dyn Host, path: &str, length: usize) -> Result<Vec<u8>, Unseen> {
    let mut bytes = vec![0; length];
    let pieces = host.open_parts(path)?;
    pieces
        .fill(&mut bytes, 0)
        .map_err(|error| Unseen::from_io(path, &error))?;
    Ok(bytes)
}

impl<'a> Database<'a> {
    fn open(host: &dyn Host, path: &'a str) -> Result<Self, Unseen> {
        let header = begin(host, path, HEADER_BYTES)?;
        if !header.starts_with(MAGIC) {
            let why = Some("no SQLite database");
            return Err(Unseen::new(path, Status::Malformed, why));
        }
        let page_bytes = match number(&header, 16, 2) {
            Some(1) => 65_536,
            Some(bytes @ 512..=32_768) if bytes.is_power_of_two() => {
                usize::try_from(bytes).unwrap_or_default()
            }
            _ => return Err(Unseen::new(path, Status::Malformed, Some("page size"))),
        };
        let log = Log::read(host, &format!("{path}-wal"), page_bytes)?;
        let mut database = Self {
            path,
            file: host.open_parts(path)?,
            log,
            page_bytes,
            usable: page_bytes,
            pages: u32::MAX,
        };
        let mut first = Vec::new();
        database.page(1, &mut first)?;
        let field = |at, length| number(&first, at, length).unwrap_or_default();
        let text_is_utf8 = matches!(field(56, 4), 0 | 1);
        if 2 < field(19, 1) || 4 < field(44, 4) || !text_is_utf8 {
            let why = Some("a form of SQLite that this agent does not read");
            return Err(Unseen::new(path, Status::Unsupported, why));
        }
        let reserved = usize::try_from(field(20, 1)).unwrap_or(page_bytes);
        database.usable = page_bytes.saturating_sub(reserved);
        if database.usable < 480 {
            return Err(database.malformed("page size"));
        }
        let in_file = host.stat(path)?.bytes / u64::try_from(page_bytes).unwrap_or(u64::MAX);
        // The size in the header holds only when it was written together with the counter.
        let in_header = (field(24, 4) == field(92, 4)).then(|| field(28, 4));
        let pages = database.log.pages().map(u64::from).or(in_header);
        // Whatever is said there, no more pages are read than there are.
        let there = in_file.saturating_add(database.log.frames());
        database.pages = pages
            .filter(|pages| *pages != 0)
            .unwrap_or(in_file)
            .min(there)
            .try_into()
            .unwrap_or(u32::MAX);
        Ok(database)
    }

    /// A table by its name.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; [`Status::Unsupported`] when there is no such table.
    pub(super) fn table(&self, name: &str) -> Result<Table, Unseen> {
        let columns = Columns::of("CREATE TABLE s (type, name, tbl_name, rootpage, sql)");
        let schema = Table { root: 1, columns };
        let mut found = None;
        self.rows(&schema, |row| {
            if row.text(0) == Some("table") && row.text(1) == Some(name) {
                found = row.integer(3).zip(row.text(4).map(Columns::of));
            }
            Ok(())
        })?;
        let root = |root| u32::try_from(root).ok();
        let table = found.and_then(|(page, columns)| {
            let root = root(page)?;
            Some(Table { root, columns })
        });
        table.ok_or_else(|| {
            let why = format!("no table `{name}`");
            Unseen::new(self.path, Status::Unsupported, Some(&why))
        })
    }

    /// Hands on each row of a table, in the order of their ids.
    ///
    /// # Errors
    ///
    /// [`Unseen`]: of the file, of a page that is damaged ([`Status::Malformed`]), or of `each`.
    pub(super) fn rows(
        &self,
        table: &Table,
        mut each: impl FnMut(&Row<'_>) -> Result<(), Unseen>,
    ) -> Result<(), Unseen> {
        // Each page belongs to one place, so a damaged tree that runs in a circle ends here.
        let mut budget = self.pages;
        let mut payload = Vec::new();
        let mut leaf = |page: &[u8], at: usize, budget: &mut u32| {
            let id = self.payload(page, at, &mut payload, budget)?;
            let row = Row::of(&table.columns, id, &payload);
            each(&row.ok_or_else(|| self.malformed("a row is damaged"))?)
        };
        self.walk(table.root, DEPTH_MAX, &mut budget, &mut leaf)
    }

    /// One page of the tree of a table, and what is below it.
    fn walk(
        &self,
        number_of_page: u32,
        depth: usize,
        budget: &mut u32,
        leaf: &mut Leaf<'_>,
    ) -> Result<(), Unseen> {
        let damaged = || self.malformed("a page is damaged");
        let depth = depth.checked_sub(1).ok_or_else(damaged)?;
        let mut page = Vec::new();
        self.counted_page(number_of_page, &mut page, budget)?;
        let head = if number_of_page == 1 { HEADER_BYTES } else { 0 };
        let field = |at: usize, length| number(&page, at, length).ok_or_else(damaged);
        let below = match page.get(head) {
            Some(5) => true,
            Some(13) => false,
            _ => return Err(damaged()),
        };
        let cells = usize::try_from(field(head + 3, 2)?).unwrap_or(usize::MAX);
        let first = head + if below { 12 } else { 8 };
        for cell in 0..cells {
            let at = usize::try_from(field(first + cell * 2, 2)?).unwrap_or(usize::MAX);
            if below {
                let child = u32::try_from(field(at, 4)?).unwrap_or_default();
                self.walk(child, depth, budget, leaf)?;
            } else {
                leaf(&page, at, budget)?;
            }
        }
        if below {
            let last = u32::try_from(field(head + 8, 4)?).unwrap_or_default();
            self.walk(last, depth, budget, leaf)?;
        }
        Ok(())
    }

    /// Gathers the payload of a row from its page and the overflow pages; its id.
    fn payload(
        &self,
        page: &[u8],
        at: usize,
        payload: &mut Vec<u8>,
        budget: &mut u32,
    ) -> Result<i64, Unseen> {
        let damaged = || self.malformed("a row is damaged");
        let (length, at) = varint(page, at).ok_or_else(damaged)?;
        let (id, at) = varint(page, at).ok_or_else(damaged)?;
        let length = usize::try_from(length).map_err(|_negative| damaged())?;
        if ROW_BYTES_MAX < length {
            let why = format!("a row of {length} bytes");
            return Err(Unseen::new(self.path, Status::Limit, Some(&why)));
        }
        let local = self.local(length);
        payload.clear();
        let own = at.checked_add(local).and_then(|end| page.get(at..end));
        payload.extend_from_slice(own.ok_or_else(damaged)?);
        let mut next = if local < length {
            number(page, at + local, 4).ok_or_else(damaged)?
        } else {
            0
        };
        let mut overflow = Vec::new();
        while payload.len() < length {
            let page = u32::try_from(next).unwrap_or_default();
            self.counted_page(page, &mut overflow, budget)?;
            next = number(&overflow, 0, 4).ok_or_else(damaged)?;
            let rest = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(overflow.get(4..4 + rest).ok_or_else(damaged)?);
        }
        Ok(id)
    }

    /// How much of a payload stands in the page itself.
    fn local(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (self.usable - 4);
        if fitting <= most { fitting } else { least }
    }

    fn counted_page(&self, page: u32, into: &mut Vec<u8>, budget: &mut u32) -> Result<(), Unseen> {
        let left = budget.checked_sub(1);
        *budget = left.ok_or_else(|| self.malformed("its pages run in a circle"))?;
        self.page(page, into)
    }

    fn page(&self, page: u32, into: &mut Vec<u8>) -> Result<(), Unseen> {
        if page == 0 || self.pages < page {
            return Err(self.malformed("a page that is not there"));
        }
        into.resize(self.page_bytes, 0);
        if self.log.page(page, into)? {
            return Ok(());
        }
        let page_bytes = u64::try_from(self.page_bytes).unwrap_or(u64::MAX);
        let offset = u64::from(page - 1).saturating_mul(page_bytes);
        self.file.fill(into, offset).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                self.malformed("it ends early")
            } else {
                Unseen::from_io(self.path, &error)
            }
        })
    }

    fn malformed(&self, why: &str) -> Unseen {
        Unseen::new(self.path, Status::Malformed, Some(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::machine::Machine;

    /// A database of 18 pages, each of which has the next one twice below it.
    fn folded(pages_in_header: u32) -> Vec<u8> {
        let mut database = Vec::new();
        for number in 1..=18_u32 {
            let (mut page, head) = (vec![0; 512], if number == 1 { HEADER_BYTES } else { 0 });
            let mut put = |at: usize, bytes: &[u8]| {
                page[at..at + bytes.len()].copy_from_slice(bytes);
            };
            if number == 1 {
                put(0, MAGIC);
                put(16, &[2, 0, 1, 1, 0, 64, 32, 32, 0, 0, 0, 1]);
                put(28, &pages_in_header.to_be_bytes());
                put(44, &[0, 0, 0, 4]);
                put(56, &[0, 0, 0, 1]);
                put(92, &[0, 0, 0, 1]);
            }
            if number == 18 {
                put(head, &[13]);
            } else {
                let next = (number + 1).to_be_bytes();
                put(head, &[5, 0, 0, 0, 1]);
                put(head + 8, &next);
                put(head + 12, &500_u16.to_be_bytes());
                put(500, &next);
            }
            database.extend(page);
        }
        database
    }

    #[test]
    fn no_more_pages_are_read_than_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let host = Machine::open(folder.path()).unwrap();
        for pages in [0, 18, 0x7fff_ffff] {
            shared::durable::write(&folder.path().join("db"), &folded(pages), 0o600).unwrap();
            let unseen = read(&host, "/db", |database| database.table("a")).unwrap_err();
            // Who read all 131,071 pages of the tree would say that there is no such table.
            assert_eq!(unseen.status, Status::Malformed, "{pages}: {unseen}");
        }
    }
}
