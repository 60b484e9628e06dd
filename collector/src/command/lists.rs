//! Commands about lists of vulnerabilities: `import`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use collector::feed::{self, Feed};
use shared::decision::{Decided, Imported};
use shared::time::Timestamp;

use super::client::Client;
use super::person::Signer;
use super::{Around, Folder, Shown};

/// Who published a list of vulnerabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Publisher {
    /// Known exploited vulnerabilities of CISA: `known_exploited_vulnerabilities.json`
    Kev,
    /// Open Source Vulnerabilities: records of a distribution, as an array or one a line
    Osv,
    /// Debian's security tracker: <https://security-tracker.debian.org/tracker/data/json>
    DebianTracker,
}

impl From<Publisher> for feed::Publisher {
    fn from(publisher: Publisher) -> Self {
        match publisher {
            Publisher::Kev => Self::Kev,
            Publisher::Osv => Self::Osv,
            Publisher::DebianTracker => Self::DebianTracker,
        }
    }
}

/// A list of vulnerabilities that is brought.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    #[command(flatten)]
    folder: Folder,
    /// Who published the list
    #[arg(long, value_enum)]
    publisher: Publisher,
    /// Declare that a list of `osv` has all known vulnerabilities of each ecosystem in it
    ///
    /// It stands in the ledger. Without it the list finds vulnerabilities and never says that
    /// there are no others.
    #[arg(long)]
    complete: bool,
    #[command(flatten)]
    signer: Signer,
    /// The file: JSON as it was published
    file: PathBuf,
}

impl Import {
    /// Reads the list, keeps a copy in the collector's folder and puts it in force.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let Self {
            folder,
            publisher,
            complete,
            signer,
            file,
        } = self;
        let (dir, publisher) = (folder.dir, feed::Publisher::from(publisher));
        let (_config, _authority) = super::load(&dir)?;
        if complete && publisher != feed::Publisher::Osv {
            bail!("only a list of `osv` is declared complete: that of others is known");
        }
        let name = || format!("`{}` cannot be imported", file.display());
        let feed = Feed::read(&file, publisher).with_context(name)?;
        let written = std::fs::metadata(&file)?.modified()?;
        let dated = feed.dated;
        let list = Imported {
            publisher: publisher.as_str().to_owned(),
            sha256: feed.sha256,
            records: feed.records,
            // A date to come would never grow old.
            dated: dated
                .unwrap_or_else(|| Timestamp::from_system(written))
                .min(around.now()),
            complete: complete || feed.complete,
        };
        let folder = super::feeds_dir(&dir);
        std::fs::create_dir_all(&folder)?;
        let copy = folder.join(feed.sha256.to_string());
        let part = folder.join(format!("{}.part", feed.sha256));
        let _bytes = std::fs::copy(&file, &part).with_context(name)?;
        std::fs::rename(&part, &copy)?;
        let client = Client::new(&dir);
        let pen = signer.pen_at_hand(around, &client)?;
        let (publisher, records) = (list.publisher.clone(), list.records);
        let entry = client
            .decide(pen.as_ref(), Decided::Import(list), &[])?
            .entry;
        let text = format!("{records} vulnerabilities of {publisher} in force; entry {entry}");
        Ok(text.into())
    }
}
