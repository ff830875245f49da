//! `idvault verify --repair --refetch`: what no repair could bring back is asked for again.
//!
//! It takes every file out of the manifest that is missing or damaged. What is left of such a file goes to `set-aside/`. Its
//! records become pending where the vendor still holds them; the next run asks for them. The others are lost, and named.
//!
//! A record and its faces leave the archive together: a second copy of one would be a difference. So an intact file goes too
//! where all of its records are asked for again.
//!
//! Files are moved before the one commit. A crash between leaves files that the next `--repair` puts back.
//!
//! - [`refetch`]: does it

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::repair::Mended;
use super::{Condition, condition_of};
use crate::archive::{Archive, ArchiveError, Columns, Dataset, StoredFace, StoredRow};
use crate::files::FileError;
use crate::inventory::OnDisk;
use crate::ledger::{Change, ChangeKind, Ledger, LedgerError, ManifestFile, SeenIds};
use crate::publish::PublishError;

/// Asks again for the records of files that are missing or damaged. Returns how much could not be brought back.
pub fn refetch(
    ledger: &Ledger,
    archive: &Archive,
    now: Timestamp,
    say: &mut dyn FnMut(&Mended),
) -> Result<u64, PublishError> {
    let manifest = &ledger.manifest()?;
    let on_disk = OnDisk::list(archive)?;
    let mut conditions = Vec::new();
    for file in manifest {
        conditions.push(condition_of(archive, &on_disk, file)?);
    }
    let unknown = |condition: &Condition| matches!(condition, Condition::Unknown(_));
    if conditions.iter().any(unknown) {
        return Ok(refuse(manifest, &conditions, say));
    }
    let snapshot = ledger.snapshot()?;
    let mut refetch = Refetch {
        ledger,
        archive,
        manifest,
        now,
        say,
        seen: SeenIds::new(&snapshot)?,
        leaving: BTreeSet::new(),
        not_mended: 0,
    };
    let broken = |number: &usize| conditions[*number] != Condition::InOrder;
    refetch.see(|number| !broken(&number))?;
    let broken: Vec<usize> = (0..manifest.len()).filter(broken).collect();
    let damaged = |number: usize| conditions[number] == Condition::Damaged;
    refetch.take_out_broken(&broken, damaged)?;
    refetch.take_out_orphaned_faces(|number| broken.contains(&number))?;
    refetch.settle()?;
    let Refetch { not_mended, .. } = refetch;
    snapshot.commit()?;
    Ok(not_mended)
}

/// Nobody can tell which records are in a file that can't be read, so nothing is asked for again.
fn refuse(manifest: &[ManifestFile], conditions: &[Condition], say: &mut dyn FnMut(&Mended)) -> u64 {
    let mut refused = 0;
    for (file, condition) in manifest.iter().zip(conditions) {
        if let Condition::Unknown(why) = condition {
            refused += 1;
            let path = &file.path;
            say(&Mended::Not {
                why: format!(
                    "archive/{path} can't be read ({why}): make it readable, as nothing is asked for again until then"
                ),
            });
        }
    }
    refused
}

/// Takes the transaction of a face, by its number in the ledger: `None` where the ledger does not know it.
type EachFace<'a> = dyn FnMut(&SeenIds<'_>, Option<i64>) -> Result<(), LedgerError> + 'a;

struct Refetch<'a> {
    ledger: &'a Ledger,
    archive: &'a Archive,
    manifest: &'a [ManifestFile],
    now: Timestamp,
    say: &'a mut dyn FnMut(&Mended),
    /// What the files hold that stay.
    seen: SeenIds<'a>,
    /// The files that leave, by their number.
    leaving: BTreeSet<usize>,
    not_mended: u64,
}

impl Refetch<'_> {
    fn of_dataset(&self, dataset: Dataset) -> Vec<usize> {
        let files = self.manifest.iter().enumerate();
        let of_dataset = files.filter(|(_, file)| file.dataset == dataset.as_str());
        of_dataset.map(|(number, _)| number).collect()
    }

    /// Notes what the intact files hold.
    fn see(&mut self, intact: impl Fn(usize) -> bool) -> Result<(), PublishError> {
        for number in self.of_dataset(Dataset::Verifications) {
            if !intact(number) {
                continue;
            }
            let path = &self.manifest[number].path;
            let (ledger, seen) = (self.ledger, &self.seen);
            self.archive
                .read_verifications(path, Columns::Compared, &mut |row: StoredRow<'_>| {
                    if let Some(known) = ledger.known(row.transaction_id, |known| known.number)? {
                        seen.add(known, number as u64, row.face_image_sha256)?;
                    }
                    Ok::<_, PublishError>(())
                })?;
        }
        for number in self.of_dataset(Dataset::FaceImages) {
            if intact(number) {
                self.each_face(number, &mut |seen, transaction| {
                    transaction.map_or(Ok(()), |transaction| {
                        seen.add_face(transaction, number as u64).map(drop)
                    })
                })?;
            }
        }
        Ok(())
    }

    /// Hands each face of a file to `each`.
    fn each_face(&self, number: usize, each: &mut EachFace<'_>) -> Result<(), PublishError> {
        let path = &self.manifest[number].path;
        let compare = &mut |face: StoredFace<'_>| {
            let transaction = self.ledger.known(face.transaction_id, |known| known.number)?;
            Ok::<_, PublishError>(each(&self.seen, transaction)?)
        };
        self.archive.read_faces(path, Columns::Compared, compare)?;
        Ok(())
    }

    /// Takes out what is missing or damaged. Where faces are, their verifications leave with them if the vendor still holds
    /// all of these. Else the faces stay in the manifest: a backup may have them.
    fn take_out_broken(&mut self, broken: &[usize], damaged: impl Fn(usize) -> bool) -> Result<(), PublishError> {
        let manifest = self.manifest;
        let is_faces = |number: &&usize| manifest[**number].dataset == Dataset::FaceImages.as_str();
        let days: BTreeSet<_> = broken
            .iter()
            .filter(is_faces)
            .map(|at| &manifest[*at].billing_day)
            .collect();
        let mut days_that_stay = BTreeSet::new();
        if !days.is_empty() {
            for (file, deleted) in self.seen.faceless_files(self.now)? {
                let Some((at, entry)) = usize::try_from(file).ok().and_then(|at| Some((at, manifest.get(at)?))) else {
                    continue;
                };
                if !days.contains(&entry.billing_day) {
                    continue;
                }
                if deleted == 0 && self.set_aside(at, "is without its faces")? {
                    self.seen.forget_file(file)?;
                    self.leaving.insert(at);
                } else {
                    days_that_stay.insert(&entry.billing_day);
                }
            }
        }
        for at in broken {
            let file = &manifest[*at];
            if is_faces(&at) && days_that_stay.contains(&file.billing_day) {
                self.not_mended += 1;
                (self.say)(&Mended::Not {
                    why: format!(
                        "archive/{} held faces of records that the vendor has deleted: restore it from a backup",
                        file.path
                    ),
                });
                continue;
            }
            if damaged(*at) {
                self.set_aside(*at, "is damaged")?;
            }
            self.leaving.insert(*at);
        }
        Ok(())
    }

    /// An intact file of faces leaves with its verifications.
    fn take_out_orphaned_faces(&mut self, broken: impl Fn(usize) -> bool) -> Result<(), PublishError> {
        for number in self.of_dataset(Dataset::FaceImages) {
            if broken(number) {
                continue;
            }
            let (mut orphaned, mut others) = (0_u64, 0_u64);
            self.each_face(number, &mut |seen, transaction| {
                let stays = match transaction {
                    None => false,
                    Some(transaction) => seen.contains(transaction)?,
                };
                *(if stays { &mut others } else { &mut orphaned }) += 1;
                Ok(())
            })?;
            if orphaned == 0 {
                continue;
            }
            if others == 0 && self.set_aside(number, "has the faces of records that are asked for again or gone")? {
                self.leaving.insert(number);
                continue;
            }
            self.not_mended += 1;
            let path = &self.manifest[number].path;
            (self.say)(&Mended::Not {
                why: format!(
                    "archive/{path} has {orphaned} faces of records that leave the archive and {others} of others: it stays"
                ),
            });
        }
        Ok(())
    }

    /// Moves a file out of the archive. False where the file system refuses, which is said.
    fn set_aside(&mut self, number: usize, why: &str) -> Result<bool, PublishError> {
        let path = self.manifest[number].path.clone();
        match self.archive.set_aside(&path) {
            Ok(to) => {
                let why = why.to_owned();
                (self.say)(&Mended::SetAside { path, to, why });
                Ok(true)
            }
            Err(error @ ArchiveError::File(FileError { action, .. })) if action != "sync" => {
                self.not_mended += 1;
                let why = crate::error_chain(&error);
                (self.say)(&Mended::Not { why });
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the ledger: the manifest, where the records stand, and the history.
    fn settle(&mut self) -> Result<(), PublishError> {
        let mut removed = Vec::new();
        for number in &self.leaving {
            let file = &self.manifest[*number];
            self.ledger.take_out(&file.path)?;
            (self.say)(&Mended::TakenOut(file.path.clone()));
            removed.push(file.clone());
        }
        let (say, mut gone_ids) = (&mut *self.say, Vec::new());
        let gone = self.ledger.lose_gone(self.now, &mut |gone| {
            gone_ids.push(gone.transaction_id.clone());
            say(&Mended::Gone(gone));
        })?;
        self.not_mended += gone;
        let records = self.ledger.ask_again(self.now)?;
        if records > 0 {
            (self.say)(&Mended::AskedAgain { records });
        }
        if removed.is_empty() && records + gone == 0 {
            return Ok(());
        }
        self.ledger.record_within(&Change {
            removed,
            ..Change::new(ChangeKind::Repair)
                .with("asked_again", records)
                .with("gone", gone_ids)
        })?;
        Ok(())
    }
}
