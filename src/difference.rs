//! Where ledger and archive disagree: what a run and `verify` find.
//!
//! - [`Difference`]: one of it
//! - [`Differences`]: all of it, counted, and the first of each kind

use std::collections::BTreeMap;
use std::fmt;

/// Differences of one kind that are kept to be shown: the first say what is wrong, and memory stays bounded.
pub(crate) const SHOWN_PER_KIND: u64 = 100;

/// Differences that a sentence names.
const NAMED_IN_SENTENCE: usize = 3;

/// Where ledger and archive disagree. None holds more of a person than the transaction id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// In the manifest, not on the disk.
    MissingFile(String),
    /// On the disk, not in the manifest, or not a file at all.
    ExtraFile(String),
    /// Other bytes than were published.
    ChangedFile {
        /// Below archive/.
        path: String,
        /// In what.
        what: String,
    },
    /// A file can't be read or decoded.
    UnreadableFile {
        /// Below archive/.
        path: String,
        /// Why.
        why: String,
    },
    /// The manifest's entry of a file contradicts itself.
    Manifest {
        /// Below archive/.
        path: String,
        /// In what.
        what: String,
    },
    /// The ledger's tables contradict each other.
    Ledger(String),
    /// The numbers of archived ids, of rows and of tallied verifications differ.
    Counts(String),
    /// A file's rows are not what they were tallied as, so that the billing report is wrong.
    Tallies {
        /// Below archive/.
        path: String,
        /// In what.
        what: String,
    },
    /// The records of the history don't fit each other, their files, the manifest or the closed months.
    History(String),
    /// A closed month is not what was signed off.
    Closed {
        /// `YYYY-MM`.
        month: String,
        /// In what.
        what: String,
    },
    /// A row whose id the ledger doesn't have as archived.
    NotArchived {
        /// The transaction.
        transaction_id: String,
        /// The file, below archive/.
        path: String,
    },
    /// An id that the ledger has as archived, and no file has.
    NotInArchive(String),
    /// A row that says something else than the ledger, or than the rest of itself.
    Row {
        /// The transaction.
        transaction_id: String,
        /// The file, below archive/.
        path: String,
        /// The column of the archive.
        column: &'static str,
    },
    /// A verification and its faces don't belong together.
    Face {
        /// The transaction.
        transaction_id: String,
        /// In what.
        what: String,
    },
    /// The large reply of a journalled transaction is missing or damaged.
    Reply(String),
    /// A transaction is in the archive more than once.
    Twice {
        /// The transaction.
        transaction_id: String,
        /// The files, below archive/.
        paths: [String; 2],
    },
}

impl Difference {
    /// The word that its line begins with.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::MissingFile(_) => "missing",
            Self::ExtraFile(_) => "extra",
            Self::ChangedFile { .. } => "changed",
            Self::UnreadableFile { .. } => "unreadable",
            Self::Manifest { .. } => "manifest",
            Self::Ledger(_) => "ledger",
            Self::Counts(_) => "counts",
            Self::Tallies { .. } => "tallies",
            Self::History(_) => "history",
            Self::Closed { .. } => "closed",
            Self::NotArchived { .. } => "not archived",
            Self::NotInArchive(_) => "not in the archive",
            Self::Row { .. } => "row",
            Self::Face { .. } => "face",
            Self::Reply(_) => "reply",
            Self::Twice { .. } => "twice",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::MissingFile(path) => write!(f, "{kind}: {path} is in the manifest and not on the disk"),
            Self::ExtraFile(path) => write!(f, "{kind}: {path} is on the disk and not in the manifest"),
            Self::ChangedFile { path, what } => write!(f, "{kind}: {path} has {what}"),
            Self::UnreadableFile { path, why } => write!(f, "{kind}: {path}: {why}"),
            Self::Manifest { path, what } | Self::Tallies { path, what } => write!(f, "{kind}: {path}: {what}"),
            Self::Closed { month, what } => write!(f, "{kind}: {month}: {what}"),
            Self::Ledger(what) | Self::Counts(what) | Self::History(what) => write!(f, "{kind}: {what}"),
            Self::NotArchived { transaction_id, path } => {
                write!(
                    f,
                    "{kind}: {transaction_id} is in {path} and the ledger doesn't have it as archived"
                )
            }
            Self::NotInArchive(transaction_id) => {
                write!(f, "{kind}: {transaction_id} is archived by the ledger and in no file")
            }
            Self::Row {
                transaction_id,
                path,
                column,
            } => write!(
                f,
                "{kind}: {transaction_id} in {path} has another {column} than the ledger"
            ),
            Self::Face { transaction_id, what } => write!(f, "{kind}: {transaction_id} {what}"),
            Self::Reply(transaction_id) => write!(
                f,
                "{kind}: that about {transaction_id} is missing or damaged in the file beside the ledger; the next run asks for it again"
            ),
            Self::Twice {
                transaction_id,
                paths: [one, other],
            } => write!(f, "{kind}: {transaction_id} is in {one} and in {other}"),
        }
    }
}

/// Differences, counted. Of each kind the first [`SHOWN_PER_KIND`] are kept.
#[derive(Debug, Clone, Default)]
pub struct Differences {
    shown: Vec<Difference>,
    counts: BTreeMap<&'static str, u64>,
}

impl Differences {
    /// Takes one more.
    pub fn add(&mut self, difference: Difference) {
        let count = self.counts.entry(difference.kind()).or_default();
        *count += 1;
        if *count <= SHOWN_PER_KIND {
            self.shown.push(difference);
        }
    }

    /// Those that were kept, in the order in which they were found.
    pub fn shown(&self) -> &[Difference] {
        &self.shown
    }

    /// Kinds of which there are more than were kept, and how many more.
    pub fn more(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let more = self
            .counts
            .iter()
            .map(|(kind, count)| (*kind, count.saturating_sub(SHOWN_PER_KIND)));
        more.filter(|(_, more)| *more > 0)
    }

    /// One sentence with the first of them, for a summary that lists the others.
    pub(crate) fn sentence(&self) -> Option<String> {
        let named: Vec<String> = self
            .shown
            .iter()
            .take(NAMED_IN_SENTENCE)
            .map(Difference::to_string)
            .collect();
        if named.is_empty() {
            return None;
        }
        let more = match self.total() - named.len() as u64 {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        Some(format!("archive and manifest differ: {}{more}", named.join("; ")))
    }

    /// All, those that were not kept too.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_are_kept_and_all_are_counted() {
        let mut found = Differences::default();
        for number in 0..SHOWN_PER_KIND + 7 {
            found.add(Difference::NotInArchive(format!("t{number}")));
        }
        found.add(Difference::MissingFile("f".to_owned()));
        assert_eq!(found.total(), SHOWN_PER_KIND + 8);
        assert_eq!(found.shown().len() as u64, SHOWN_PER_KIND + 1);
        assert_eq!(found.more().collect::<Vec<_>>(), [("not in the archive", 7)]);
    }
}
