//! What is to be merged, pure: the small files of a day go together as long as one file holds them.
//!
//! - [`plan`]: from the manifest; [`DayPlan`]: a folder of it

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::archive::{Archive, Dataset};
use crate::ledger::ManifestFile;
use crate::publish::{FILE_REPLY_BYTES, FILE_ROWS};

/// Bytes in memory for a byte of a file of verifications, about: 1 KiB a row that takes 130 bytes in a large file.
const DECODED_PER_BYTE: u64 = 8;

/// Bytes in memory of one such file while it is read, at most: a page of each column, and the rows at hand.
const READER_BYTES: u64 = 6 * 1024 * 1024;

/// Bytes in memory of all that are read side by side, so that the program stays under 100 MiB.
const READERS_BYTES: u64 = 40 * 1024 * 1024;

/// The files of one dataset and billing day, and what of them goes together.
#[derive(Debug, Clone)]
pub struct DayPlan {
    /// The dataset.
    pub dataset: Dataset,
    /// The billing day; `None` is the unknown one.
    pub day: Option<Date>,
    /// Their folder, below archive/.
    pub folder: String,
    /// All files that belong in it, by their paths below archive/.
    pub paths: BTreeSet<String>,
    /// Files that become one.
    pub merges: Vec<Vec<ManifestFile>>,
}

impl DayPlan {
    /// Whether its rows belong in another folder than they are in.
    pub(super) fn moves(&self) -> bool {
        let day = self.day.map(|day| day.to_string());
        self.folder != Archive::folder_of(self.dataset.as_str(), day.as_deref())
    }
}

/// The days of the manifest of which something is to be written anew: of the files that are free, `fewest` or more at a
/// time.
pub(super) fn plan(manifest: Vec<(ManifestFile, bool)>, fewest: usize) -> Vec<DayPlan> {
    let mut folders: BTreeMap<String, DayPlan> = BTreeMap::new();
    let mut free: BTreeMap<String, Vec<ManifestFile>> = BTreeMap::new();
    for (file, is_free) in manifest {
        let day = file.billing_day.as_deref().map(str::parse).transpose();
        // Words that idvault never wrote are left to `verify`.
        let (Some(dataset), Ok(day)) = (Dataset::from_word(&file.dataset), day) else {
            continue;
        };
        let folder = file.folder().to_owned();
        let plan = folders.entry(folder.clone()).or_insert_with(|| DayPlan {
            dataset,
            day,
            folder: folder.clone(),
            paths: BTreeSet::new(),
            merges: Vec::new(),
        });
        plan.paths.insert(file.path.clone());
        if is_free {
            free.entry(folder).or_default().push(file);
        }
    }
    for (folder, files) in free {
        if let Some(plan) = folders.get_mut(&folder) {
            plan.merges = together(files, plan.dataset, fewest);
        }
    }
    folders.into_values().filter(|plan| !plan.merges.is_empty()).collect()
}

/// The smallest first: what is large already stays alone, unless it holds the small ones of its day too.
fn together(mut files: Vec<ManifestFile>, dataset: Dataset, fewest: usize) -> Vec<Vec<ManifestFile>> {
    files.sort_by(|one, other| (one.bytes, &one.path).cmp(&(other.bytes, &other.path)));
    let mut merges: Vec<Vec<ManifestFile>> = Vec::new();
    let mut last = Size::default();
    for file in files {
        let size = Size::of(&file, dataset);
        match merges.last_mut() {
            Some(merge) if last.plus(size).fits() => {
                last = last.plus(size);
                merge.push(file);
            }
            _ => {
                last = size;
                merges.push(vec![file]);
            }
        }
    }
    merges.retain(|merge| merge.len() >= fewest);
    for merge in &mut merges {
        merge.sort_by(|one, other| one.path.cmp(&other.path));
    }
    merges
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    rows: u64,
    bytes: u64,
    readers_bytes: u64,
}

impl Size {
    fn of(file: &ManifestFile, dataset: Dataset) -> Self {
        let held = file.bytes.saturating_mul(DECODED_PER_BYTE).min(READER_BYTES);
        Self {
            rows: file.rows,
            bytes: file.bytes,
            // Faces are read file after file.
            readers_bytes: if dataset == Dataset::Verifications { held } else { 0 },
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
            readers_bytes: self.readers_bytes.saturating_add(other.readers_bytes),
        }
    }

    /// Whether one file may hold it, as publication would have it.
    fn fits(self) -> bool {
        self.rows <= FILE_ROWS && self.bytes <= FILE_REPLY_BYTES && self.readers_bytes <= READERS_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, day: Option<&str>, rows: u64) -> ManifestFile {
        let folder = Archive::folder_of("verifications", day);
        ManifestFile {
            path: format!("{folder}/{name}.parquet"),
            dataset: "verifications".to_owned(),
            billing_day: day.map(str::to_owned),
            rows,
            bytes: rows * 130,
            sha256: String::new(),
            run_id: "run".to_owned(),
        }
    }

    /// The names of the files that become one.
    fn merged(manifest: Vec<(ManifestFile, bool)>) -> Vec<Vec<String>> {
        let name = |file: ManifestFile| file.path.rsplit('/').next().unwrap().replace(".parquet", "");
        plan(manifest, 2)
            .into_iter()
            .flat_map(|day| day.merges)
            .map(|merge| merge.into_iter().map(name).collect())
            .collect()
    }

    #[test]
    fn late_files_join_the_days_own_and_days_stay_apart() {
        let manifest = vec![
            (file("a", Some("2026-10-01"), 98_000), true),
            (file("b", Some("2026-10-01"), 200), true),
            (file("c", Some("2026-10-01"), 300), true),
            (file("d", Some("2026-10-02"), 300), true),
            (file("e", None, 7), true),
            (file("f", None, 7), true),
        ];
        assert_eq!(merged(manifest), [vec!["a", "b", "c"], vec!["e", "f"]]);
    }

    #[test]
    fn what_is_not_at_rest_or_was_signed_off_stays_and_is_known_to_be_there() {
        let day = Some("2026-10-01");
        let manifest = vec![
            (file("a", day, 10), true),
            (file("young", day, 10), false),
            (file("signed", day, 10), false),
            (file("b", day, 10), true),
            (file("alone", Some("2026-10-02"), 10), true),
        ];
        let plans = plan(manifest.clone(), 2);
        assert_eq!((plans.len(), plans[0].paths.len()), (1, 4));
        assert_eq!(merged(manifest), [["a", "b"]]);
    }

    #[test]
    fn no_file_becomes_larger_than_publication_makes_them_and_no_more_are_read_at_once_than_fit_into_memory() {
        let day = Some("2026-10-01");
        let full = |name| (file(name, day, FILE_ROWS), true);
        let manifest = vec![
            full("full1"),
            full("full2"),
            (file("rest", day, 100_000), true),
            (file("late", day, 90), true),
        ];
        assert_eq!(merged(manifest), [["late", "rest"]]);
        let many = (0..40).map(|number| (file(&format!("{number:02}"), day, 6_000), true));
        let groups = merged(many.collect());
        assert!(
            groups.len() > 2 && groups.iter().all(|group| group.len() <= 10),
            "{groups:?}"
        );
    }
}
