//! Which programs may be run, where they are, and what they may be told.

/// A program that may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// borg(1): lists archives, extracts to the standard output.
    Borg,
    /// restic(1): lists snapshots, writes a file to the standard output.
    Restic,
    /// tar(1): extracts to the standard output.
    Tar,
    /// sleep(1), which tests run to have a program that hangs.
    #[cfg(test)]
    Sleep,
    /// yes(1), which tests run to have a program that never ends to write.
    #[cfg(test)]
    Yes,
}

/// What a program may be told.
pub(super) struct Rules {
    /// Where it is looked for, in this order.
    pub(super) paths: &'static [&'static str],
    /// Its first argument is one of these; a program without verbs has none.
    pub(super) verbs: &'static [&'static str],
    /// All its options, without what stands behind `=`.
    pub(super) options: &'static [&'static str],
    /// An option that each run of a verb has.
    pub(super) always: &'static [(&'static str, &'static str)],
    /// Variables that are set besides those that all programs have.
    pub(super) variables: &'static [(&'static str, &'static str)],
}

const BORG: Rules = Rules {
    paths: &["/usr/bin/borg", "/usr/local/bin/borg"],
    verbs: &["extract", "list"],
    options: &[
        "--bypass-lock",
        "--glob-archives",
        "--json",
        "--last",
        "--stdout",
    ],
    always: &[
        ("extract", "--stdout"),
        ("extract", "--bypass-lock"),
        ("list", "--bypass-lock"),
    ],
    variables: &[
        // The scratch folder remembers no repository, so each one is new and may have moved.
        ("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes"),
        ("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes"),
        ("BORG_DISPLAY_PASSPHRASE", "no"),
        ("BORG_KEYS_DIR", "/root/.config/borg/keys"),
        ("BORG_PASSPHRASE_FD", "0"),
        // No question on a terminal when the host of the repository is not known.
        ("BORG_RSH", "ssh -o BatchMode=yes -o ConnectTimeout=20"),
    ],
};

const RESTIC: Rules = Rules {
    paths: &["/usr/bin/restic", "/usr/local/bin/restic"],
    verbs: &["dump", "snapshots"],
    options: &[
        "--host",
        "--json",
        "--latest",
        "--no-cache",
        "--no-lock",
        "--password-file",
        "--quiet",
        "--repo",
    ],
    always: &[
        ("dump", "--no-lock"),
        ("dump", "--no-cache"),
        ("snapshots", "--no-lock"),
        ("snapshots", "--no-cache"),
    ],
    variables: &[],
};

const TAR: Rules = Rules {
    paths: &["/usr/bin/tar", "/bin/tar"],
    verbs: &["--extract"],
    options: &["--file", "--force-local", "--occurrence", "--to-stdout"],
    always: &[("--extract", "--to-stdout"), ("--extract", "--force-local")],
    variables: &[],
};

#[cfg(test)]
const SLEEP: Rules = Rules {
    paths: &["/usr/bin/sleep", "/bin/sleep"],
    verbs: &[],
    options: &[],
    always: &[],
    variables: &[],
};

#[cfg(test)]
const YES: Rules = Rules {
    paths: &["/usr/bin/yes", "/bin/yes"],
    ..SLEEP
};

impl Program {
    pub(super) const fn rules(self) -> &'static Rules {
        match self {
            Self::Borg => &BORG,
            Self::Restic => &RESTIC,
            Self::Tar => &TAR,
            #[cfg(test)]
            Self::Sleep => &SLEEP,
            #[cfg(test)]
            Self::Yes => &YES,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let path = self.rules().paths.last().copied().unwrap_or_default();
        path.rsplit('/').next().unwrap_or(path)
    }
}
