//! What the ledger knows of an id, and what a pending row adds to it.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, named_params};

use super::{optional_timestamp, timestamp};
use crate::record::{MerchantBizId, Pending, ProductCode, Region, State, expires_at};

/// What the ledger knows of an id.
pub(super) struct Known<'row> {
    number: i64,
    merchant_biz_id: Option<&'row str>,
    product_code: &'row str,
    product_assumed: bool,
    region: &'row str,
    region_assumed: bool,
    verified_at: Option<i64>,
    first_seen_at: i64,
    pub(super) first_run: i64,
    /// `None`: its final reply came.
    state: Option<State>,
}

/// What becomes of a known id by a row.
pub(super) enum Merge {
    /// The ledger knew it all, or is done with the id.
    Nothing,
    /// The row says more.
    Completed(Completed),
    /// The row corrects an id that is lost or abandoned, and its deadline is past by the row, too; the sentence says so.
    TooLate(Completed, String),
    /// The row contradicts the ledger; the sentence says in what.
    Conflict(String),
}

/// By what a row is merged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    /// So long before its deadline an id is due at the latest.
    pub(super) last_chance: SignedDuration,
}

/// A known id with what a row adds.
#[expect(
    clippy::struct_excessive_bools,
    reason = "columns of the row, and what follows from it"
)]
pub(super) struct Completed {
    number: i64,
    merchant_biz_id: Option<String>,
    product_code: String,
    product_assumed: bool,
    region: String,
    region_assumed: bool,
    verified_at: Option<i64>,
    first_seen_at: i64,
    /// It was given up, or a person was to look at it: it is asked for again.
    reopens: bool,
    /// It may have been asked for as something else until now: it is due at once.
    is_due: bool,
    /// Whether its reply is journalled, under the time that was known.
    journalled: bool,
    known_verified_at: Option<i64>,
}

impl<'row> Known<'row> {
    /// Reads a row of `admit_lookup.sql`.
    pub(super) fn read(row: &'row Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            merchant_biz_id: row.get_ref(1)?.as_str_or_null()?,
            product_code: row.get_ref(2)?.as_str()?,
            product_assumed: row.get(3)?,
            region: row.get_ref(4)?.as_str()?,
            region_assumed: row.get(5)?,
            verified_at: row.get(6)?,
            first_seen_at: row.get(7)?,
            first_run: row.get(8)?,
            state: State::from_word(row.get_ref(9)?.as_str()?),
        })
    }

    /// Adds what `row` says and was not known. What was said before stands, but for an id that is quarantined, lost or abandoned:
    /// what the row says differently may be what was wrong. All of an id that is done stands: the archive is never rewritten.
    pub(super) fn merge(&self, row: &Pending, connection: &Connection, clock: Clock) -> rusqlite::Result<Merge> {
        if self.says_all_of(row) {
            return Ok(Merge::Nothing);
        }
        let journalled = self.state.is_none() && self.is_in_journal(connection)?;
        let is_given_up = matches!(self.state, Some(State::Lost | State::Abandoned));
        let is_quarantined = self.state == Some(State::Quarantined);
        if !journalled && !is_given_up && !is_quarantined && self.state != Some(State::Pending) {
            return Ok(Merge::Nothing);
        }
        let corrects = is_given_up || is_quarantined;
        let mut merged = self.completed(journalled);
        let mut conflicts = Vec::new();
        let mut hear = |name: &str, said: &str, known: Option<String>| match known {
            Some(known) if !corrects => {
                conflicts.push(format!("{name} {said}, the ledger has {known}"));
                false
            }
            _ => true,
        };
        if let Some(said) = row.verified_at
            && self.verified_at != Some(said.as_microsecond())
        {
            let known = optional_timestamp(self.verified_at)?.map(|known| known.to_string());
            if hear("verified_at", &said.to_string(), known) {
                merged.verified_at = Some(said.as_microsecond());
            }
        }
        if let Some(said) = row.merchant_biz_id.as_ref().map(MerchantBizId::as_str)
            && self.merchant_biz_id != Some(said)
            && hear("merchant_biz_id", said, self.merchant_biz_id.map(str::to_owned))
        {
            merged.merchant_biz_id = Some(said.to_owned());
        }
        let product_code = row.product_code.as_ref().map(ProductCode::as_str);
        let region = row.region.as_ref().map(Region::as_str);
        for (name, said, known, assumed) in [
            (
                "product_code",
                product_code,
                &mut merged.product_code,
                &mut merged.product_assumed,
            ),
            ("region", region, &mut merged.region, &mut merged.region_assumed),
        ] {
            if let Some(said) = said
                && (*assumed || said != known)
                && hear(name, said, (!*assumed).then(|| known.clone()))
            {
                said.clone_into(known);
                *assumed = false;
            }
        }
        merged.is_due = merged.region != self.region || merged.product_code != self.product_code;
        merged.reopens = is_quarantined;
        if is_given_up {
            self.given_up(merged, clock)
        } else if conflicts.is_empty() {
            Ok(Merge::Completed(merged))
        } else {
            let conflicts = conflicts.join("; ");
            Ok(Merge::Conflict(format!(
                "contradicts what is known of this id: {conflicts}"
            )))
        }
    }

    /// What becomes of an id that was given up. When and where it was made decides whether the vendor may still have it.
    fn given_up(&self, mut merged: Completed, clock: Clock) -> rusqlite::Result<Merge> {
        if !merged.is_due && merged.verified_at == self.verified_at {
            return Ok(Merge::Nothing);
        }
        let deadline = merged.deadline()?;
        merged.reopens = deadline > clock.now;
        if merged.reopens {
            return Ok(Merge::Completed(merged));
        }
        let state = self.state.map_or("done", State::as_str);
        let why = format!("the id is {state}, and by this row, too, its 30 days ended on {deadline}");
        Ok(Merge::TooLate(merged, format!("{why}: it is not asked for again")))
    }

    /// Whether `row` says nothing that is not known exactly so: what most rows of most nights are.
    fn says_all_of(&self, row: &Pending) -> bool {
        let unsaid_or = |said: Option<&str>, known: Option<&str>| said.is_none() || said == known;
        let said = |known, assumed: bool| (!assumed).then_some(known);
        row.verified_at
            .is_none_or(|said| self.verified_at == Some(said.as_microsecond()))
            && unsaid_or(
                row.merchant_biz_id.as_ref().map(MerchantBizId::as_str),
                self.merchant_biz_id,
            )
            && unsaid_or(
                row.product_code.as_ref().map(ProductCode::as_str),
                said(self.product_code, self.product_assumed),
            )
            && unsaid_or(
                row.region.as_ref().map(Region::as_str),
                said(self.region, self.region_assumed),
            )
    }

    /// Whether its reply is not in the archive yet.
    fn is_in_journal(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let place = named_params! { ":number": self.number, ":verified_at": self.verified_at };
        connection
            .prepare_cached(include_str!("../../sql/admit_in_journal.sql"))?
            .query_row(place, |row| row.get(0))
    }

    fn completed(&self, journalled: bool) -> Completed {
        Completed {
            number: self.number,
            merchant_biz_id: self.merchant_biz_id.map(str::to_owned),
            product_code: self.product_code.to_owned(),
            product_assumed: self.product_assumed,
            region: self.region.to_owned(),
            region_assumed: self.region_assumed,
            verified_at: self.verified_at,
            first_seen_at: self.first_seen_at,
            reopens: false,
            is_due: false,
            journalled,
            known_verified_at: self.verified_at,
        }
    }
}

impl Completed {
    /// When the vendor deletes it; of an unknown age it is reckoned from when it was first seen.
    fn deadline(&self) -> rusqlite::Result<Timestamp> {
        timestamp(self.verified_at.unwrap_or(self.first_seen_at)).map(expires_at)
    }

    /// Writes it down.
    pub(super) fn store(&self, connection: &Connection, clock: Clock) -> rusqlite::Result<()> {
        let due_by = self.deadline()?.saturating_sub(clock.last_chance);
        let due_by = due_by.unwrap_or(Timestamp::MIN);
        connection
            .prepare_cached(include_str!("../../sql/admit_complete.sql"))?
            .execute(named_params! {
                ":number": self.number,
                ":merchant_biz_id": self.merchant_biz_id,
                ":product_code": self.product_code,
                ":product_assumed": self.product_assumed,
                ":region": self.region,
                ":region_assumed": self.region_assumed,
                ":verified_at": self.verified_at,
                ":reopens": self.reopens,
                ":is_due": self.is_due,
                ":due_by": due_by.as_microsecond(),
            })?;
        if self.journalled {
            connection.execute(
                include_str!("../../sql/admit_journalled.sql"),
                named_params! {
                    ":number": self.number,
                    ":known_verified_at": self.known_verified_at,
                    ":merchant_biz_id": self.merchant_biz_id,
                    ":product_code": self.product_code,
                    ":region": self.region,
                    ":verified_at": self.verified_at,
                },
            )?;
        }
        Ok(())
    }
}
