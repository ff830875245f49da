//! `idvault close`: signs a month off.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{CommandError, Context, first_of};
use crate::archive::Archive;
use crate::audit;
use crate::cli::{CloseArgs, Global};
use crate::closing::{self, RECORD_VERSION, Record, SignedFile};
use crate::config::Settings;
use crate::exit::Exit;
use crate::files::{FileError, sha256_of};
use crate::ledger::{ClosedMonth, Ledger, Lock, StateCounts};
use crate::plain::clean;
use crate::record::State;
use crate::report::billing::{self, BillingTotals};

pub(super) fn execute(args: &CloseArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.settings(global.overrides())?;
    let month = first_of(&args.month)?;
    let now = context.clock(global).now();
    let mut out = io::stdout().lock();
    // Whether there is one comes first: a command that closes must not make an empty ledger.
    drop(Ledger::open_read_only(&settings.data_dir)?);
    let lock = Lock::acquire(&settings.data_dir)?;
    let mut ledger = Ledger::open(&settings.data_dir, &lock)?;
    let closed = ledger.closed_months(Some((month, month)))?.pop();
    if let Some(closed) = closed {
        return say_closed(&mut out, &settings, &closed, "was closed already");
    }
    let today = settings.billing_zone.day_of(now);
    if !closing::is_final(month, today) {
        let why = format!(
            "the vendor's bill of {} can change until {}; close it from then on",
            args.month,
            closing::final_from(month)
        );
        return Err(CommandError::Usage(why));
    }
    let closing = Closing::read(args, month, &ledger, &settings)?;
    if let Some(exit) = closing.refused(&mut out)? {
        return Ok(exit);
    }
    let closed = closing.sign(args, month, now)?;
    ledger.close_month(&closed)?;
    say_closed(&mut out, &settings, &closed, "is closed")?;
    ledger.close()?;
    Ok(Exit::Done)
}

/// Everything that is known of a month that is to be closed.
struct Closing {
    record: Record,
    totals: BillingTotals,
    /// Where archive and ledger differ.
    differences: Vec<String>,
    states: StateCounts,
}

impl Closing {
    fn read(args: &CloseArgs, month: Date, ledger: &Ledger, settings: &Settings) -> Result<Self, CommandError> {
        let days = (month, month.last_of_month());
        let audited = audit::of_days(ledger, &Archive::for_reading(&settings.data_dir), days)?;
        let billing = billing::read(ledger, &settings.pricing, Some(days))?;
        let mut rows = billing.rows;
        // They belong to no month, and would change what is signed off.
        rows.retain(|row| row.billing_day.is_some());
        let states = states(ledger, settings, days)?;
        let totals = billing::totals(&rows);
        let signed = |file: &crate::ledger::ManifestFile| SignedFile {
            path: file.path.clone(),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        };
        let record = Record {
            record_version: RECORD_VERSION,
            idvault: env!("CARGO_PKG_VERSION").to_owned(),
            month: args.month.clone(),
            closed_at: Timestamp::UNIX_EPOCH,
            accepted: args.accept.clone(),
            objections: objections(args, &totals),
            rows,
            totals: serde_json::to_value(&totals).map_err(io::Error::from)?,
            states: serde_json::to_value(&states).map_err(io::Error::from)?,
            files: audited.files.iter().map(signed).collect(),
            bills: args.bill.iter().map(|path| bill(path)).collect::<Result<_, _>>()?,
            reconciled: None,
        };
        Ok(Self {
            record,
            totals,
            differences: [audited.differences, billing.faults].concat(),
            states,
        })
    }

    /// Says why the month can't be closed, if it can't.
    fn refused(&self, out: &mut dyn Write) -> io::Result<Option<Exit>> {
        for difference in &self.differences {
            writeln!(out, "archive and ledger differ: {}", clean(difference))?;
        }
        if !self.differences.is_empty() {
            writeln!(out, "not closed; run `idvault verify`")?;
            return Ok(Some(Exit::Difference));
        }
        let journalled = self.states.of(State::Journalled);
        if journalled > 0 {
            writeln!(
                out,
                "not closed; {journalled} replies are not in the archive yet: run `idvault run` first"
            )?;
            return Ok(Some(Exit::NeedsALook));
        }
        for objection in &self.record.objections {
            writeln!(out, "{}", clean(objection))?;
        }
        if self.record.objections.is_empty() || self.record.accepted.is_some() {
            return Ok(None);
        }
        writeln!(
            out,
            "not closed; settle that, or say with --accept why it is closed all the same"
        )?;
        Ok(Some(Exit::Difference))
    }

    fn sign(mut self, args: &CloseArgs, month: Date, now: Timestamp) -> Result<ClosedMonth, CommandError> {
        self.record.closed_at = now;
        tracing::info!(
            month = args.month,
            verifications = self.totals.verifications,
            billed = self.totals.billed,
            "closing"
        );
        Ok(self.record.sign(month).map_err(io::Error::from)?)
    }
}

/// What speaks against closing the month, and can be accepted.
fn objections(args: &CloseArgs, totals: &BillingTotals) -> Vec<String> {
    let mut objections = Vec::new();
    if args.bill.is_empty() {
        objections.push("no bill was given".to_owned());
    } else {
        objections.push("the bill was not compared".to_owned());
    }
    for code in totals.unknown_sub_codes() {
        objections.push(format!(
            "it is not known whether {} verifications of {} with the sub code {} are billed",
            code.verifications, code.product_code, code.sub_code
        ));
    }
    if totals.unpriced > 0 {
        objections.push(format!("{} billed verifications have no known price", totals.unpriced));
    }
    objections
}

fn bill(path: &Path) -> Result<SignedFile, FileError> {
    let (bytes, sha256) = sha256_of(path)?;
    Ok(SignedFile {
        path: path.display().to_string(),
        bytes,
        sha256,
    })
}

/// Ids of the month by state.
fn states(ledger: &Ledger, settings: &Settings, (from, to): (Date, Date)) -> Result<StateCounts, CommandError> {
    let bounds = settings.billing_zone.bounds(from).zip(settings.billing_zone.bounds(to));
    let Some(((start, _), (_, end))) = bounds else {
        return Err(CommandError::Usage(format!("{from} is too far away to be billed")));
    };
    Ok(ledger.states_between(start, end)?)
}

fn say_closed(out: &mut dyn Write, settings: &Settings, closed: &ClosedMonth, is: &str) -> Result<Exit, CommandError> {
    closing::keep(&settings.data_dir, closed)?;
    writeln!(
        out,
        "{} {is}, at {}: {} with SHA-256 {}",
        closed.month.strftime("%Y-%m"),
        closed.closed_at,
        closing::path_of(&settings.data_dir, closed.month).display(),
        closed.sha256
    )?;
    Ok(Exit::Done)
}
