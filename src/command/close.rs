//! `idvault close`: signs a month off.

mod objections;

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use super::output::stdout;
use super::reconcile::accepted;
use super::{CommandError, Context, first_of};
use crate::archive::Archive;
use crate::audit;
use crate::cli::{CloseArgs, Global};
use crate::closing::{self, RECORD_VERSION, Record, SignedFile};
use crate::config::Settings;
use crate::exit::Exit;
use crate::files::{FileError, sha256_of};
use crate::history;
use crate::ledger::{ClosedMonth, Ledger, LedgerError, Lock, StateCounts};
use crate::plain::clean;
use crate::reconcile::bill::{self, Bill};
use crate::reconcile::evidence::Month;
use crate::reconcile::records::{self, Exports, Recorded, Terms};
use crate::reconcile::{self, Reconciled, Request};
use crate::record::State;
use crate::report::billing::{self, BillingTotals};
use crate::run::RunError;
use objections::Objection;

pub(super) fn execute(args: &CloseArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let mut settings = context.data_settings(global.overrides())?;
    let month = first_of(&args.month)?;
    let now = context.host.clock.now();
    // Signed off by the real clock. One that was given can only make it earlier.
    let given = global.now.map_or(now, |given| given.min(now));
    let mut out = stdout();
    // Whether there is one comes first: a command that closes must not make an empty ledger.
    drop(Ledger::open_read_only(&settings.data_dir)?);
    // Whatever the files are, the lock does not wait for them.
    let bill_settings = settings.bill.with(args.form.as_deref(), args.allow_identical);
    let bill_settings = bill_settings.map_err(CommandError::Usage)?;
    let has_bill = !args.bill.is_empty();
    let bill = has_bill.then(|| bill::read(&args.bill, &bill_settings)).transpose()?;
    let has_records = !args.records.is_empty();
    let parse = || records::parse(&args.records, &settings.records, &settings.data_dir);
    let exports = has_records.then(parse).transpose()?;
    let lock = Lock::acquire(&settings.data_dir)?;
    let (mut ledger, archive) = context.open(&settings, &lock, global)?;
    let signed = ledger.closed_months(Some((month, month)))?;
    match (signed.first(), args.correct) {
        (Some(_), false) => return say_again(&mut out, args, bill, &settings, &signed),
        (None, true) => {
            let why = format!("{} is not closed, so there is nothing to correct", args.month);
            return Err(CommandError::Usage(why));
        }
        _ => {}
    }
    let today = settings.billing_zone.day_of(given);
    if !closing::is_final(month, today) {
        let why = format!(
            "the vendor's bill of {} can change until {}; close it from then on",
            args.month,
            closing::final_from(month)
        );
        return Err(CommandError::Usage(why));
    }
    // A closed month keeps the prices that it was signed with.
    if let Some(pricing) = closing::signed_pricing(&ledger, month)? {
        settings.pricing = pricing;
    }
    let days = Month::of(month, &settings.billing_zone);
    let days = days.ok_or_else(|| CommandError::Usage(format!("{} can't be closed", args.month)))?;
    let reconciled = compare(args, bill.as_ref(), exports, &days, today, &ledger, &settings)?;
    let bills = bill.map_or_else(Vec::new, signed_bills);
    let mut closing = Closing::read(args, &days, reconciled, bills, &ledger, &settings)?;
    closing.number(&ledger, &signed)?;
    if let Some(exit) = closing.refused(args, &mut out)? {
        return Ok(exit);
    }
    let closed = closing.sign(args, month, now)?;
    ledger.close_month(&closed)?;
    history::write_files(&ledger, &archive).map_err(RunError::from)?;
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
    /// What speaks against closing it.
    objections: Vec<Objection>,
}

impl Closing {
    fn read(
        args: &CloseArgs,
        month: &Month,
        reconciled: Option<Reconciled>,
        bills: Vec<SignedFile>,
        ledger: &Ledger,
        settings: &Settings,
    ) -> Result<Self, CommandError> {
        let days = month.days();
        let archive = Archive::for_reading(&settings.data_dir);
        let audited = audit::of_days(ledger, &archive, days).map_err(RunError::from)?;
        let billing = billing::read(ledger, &settings.pricing, Some(days))?;
        let mut rows = if args.correct {
            billing.corrections
        } else {
            billing.rows
        };
        // They belong to no month, and would change what is signed off.
        rows.retain(|row| row.billing_day.is_some());
        let states = ledger.states_between(month.span())?;
        let totals = billing::totals(&rows);
        let signed = |file: &crate::ledger::ManifestFile| SignedFile {
            path: file.path.clone(),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        };
        let objections = objections::of(reconciled.as_ref(), &totals);
        let record = Record {
            record_version: RECORD_VERSION,
            idvault: env!("CARGO_PKG_VERSION").to_owned(),
            month: args.month.clone(),
            correction: 0,
            previous_sha256: None,
            closed_at: Timestamp::UNIX_EPOCH,
            accepted_objections: Vec::new(),
            pricing: Some(settings.pricing.clone()),
            rows,
            totals: serde_json::to_value(&totals).map_err(io::Error::from)?,
            states: serde_json::to_value(&states).map_err(io::Error::from)?,
            files: audited.files.iter().map(signed).collect(),
            bills,
            records: args
                .records
                .iter()
                .map(|path| signed_file(path))
                .collect::<Result<_, _>>()?,
            reconciled: reconciled
                .map(serde_json::to_value)
                .transpose()
                .map_err(io::Error::from)?,
        };
        Ok(Self {
            record,
            totals,
            differences: [audited.differences, billing.faults].concat(),
            states,
            objections,
        })
    }

    /// Makes it the correction that follows those that are signed, without their files, and puts it behind the record that was
    /// signed last.
    fn number(&mut self, ledger: &Ledger, signed: &[ClosedMonth]) -> Result<(), CommandError> {
        let all = ledger.closed_months(None)?;
        self.record.previous_sha256 = closing::last_signed(&all).map(|closed| closed.sha256.clone());
        self.record.correction = u32::try_from(signed.len()).unwrap_or(u32::MAX);
        for closed in signed {
            let Ok(before) = Record::read(closed) else { continue };
            self.record.files.retain(|file| !before.files.contains(file));
        }
        Ok(())
    }

    /// Whether there is nothing that could be signed off.
    fn is_empty(&self, args: &CloseArgs) -> bool {
        let no_states = State::ALL.iter().all(|state| self.states.of(*state) == 0);
        let nothing_here = self.record.rows.is_empty() && (no_states || args.correct);
        args.bill.is_empty() && args.records.is_empty() && nothing_here
    }

    /// Says why the month can't be closed, if it can't.
    fn refused(&mut self, args: &CloseArgs, out: &mut dyn Write) -> Result<Option<Exit>, CommandError> {
        if self.is_empty(args) {
            writeln!(
                out,
                "not closed; there is no bill, no record and no {}verification of {}: check the month",
                if args.correct { "new " } else { "" },
                args.month
            )?;
            return Ok(Some(Exit::Difference));
        }
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
        let (accepted, open) = objections::accept(&self.objections, &accepted(&args.accept)?)?;
        self.record.accepted_objections = accepted;
        if open.is_empty() {
            return Ok(None);
        }
        for Objection { name, what, .. } in &open {
            writeln!(out, "{}: {}", clean(name), clean(what))?;
        }
        writeln!(
            out,
            "not closed; settle that, or accept each by its name, such as --accept {}",
            clean(&format!("'{}=REASON'", open[0].name))
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

/// The bill, or the records in its place, against the archive; `None` where neither is given.
fn compare(
    args: &CloseArgs,
    bill: Option<&Bill>,
    exports: Option<Exports>,
    month: &Month,
    today: Date,
    ledger: &Ledger,
    settings: &Settings,
) -> Result<Option<Reconciled>, CommandError> {
    let terms = Terms {
        month,
        sub_codes: &settings.pricing.sub_codes,
        defaults: &settings.defaults,
    };
    let read = |exports| Recorded::read(ledger, exports, &settings.records, &terms);
    let recorded = exports.map(read).transpose()?;
    if bill.is_none() && recorded.is_none() {
        return Ok(None);
    }
    let request = Request {
        bill,
        recorded: recorded.as_ref(),
        month,
        today,
        pricing: &settings.pricing,
        defaults: &settings.defaults,
        tolerance: args.tolerance.unwrap_or_default(),
        tolerance_line: args.tolerance_line,
        accepted: &accepted(&args.accept)?,
    };
    let mut reconciled = reconcile::reconcile(ledger, &request)?;
    // So that the ids that the records tell of are named.
    reconciled.for_each_record(ledger, &request, &mut |_| Ok::<_, LedgerError>(()))?;
    Ok(Some(reconciled))
}

/// The bill's files, by the hashes of what was read.
fn signed_bills(bill: Bill) -> Vec<SignedFile> {
    let files = bill.files.into_iter().zip(bill.contents);
    let signed = files.map(|(path, content)| SignedFile {
        path,
        bytes: content.bytes,
        sha256: content.sha256,
    });
    signed.collect()
}

fn signed_file(path: &Path) -> Result<SignedFile, FileError> {
    let (bytes, sha256) = sha256_of(path)?;
    Ok(SignedFile {
        path: path.display().to_string(),
        bytes,
        sha256,
    })
}

/// A closed month is not closed again: its files are written again where one is missing.
fn say_again(
    out: &mut dyn Write,
    args: &CloseArgs,
    bill: Option<Bill>,
    settings: &Settings,
    signed: &[ClosedMonth],
) -> Result<Exit, CommandError> {
    let mut given = bill.map_or_else(Vec::new, signed_bills);
    for path in &args.records {
        given.push(signed_file(path)?);
    }
    let record = signed.first().and_then(|closed| Record::read(closed).ok());
    let is_signed = |file: &SignedFile| {
        record.as_ref().is_none_or(|record| {
            let mut files = record.bills.iter().chain(&record.records);
            files.any(|signed| signed.sha256 == file.sha256)
        })
    };
    if let Some(other) = given.iter().find(|file| !is_signed(file)) {
        writeln!(
            out,
            "not closed; {} is closed, and {} is not what it was signed off with; sign it off as a correction, with --correct",
            args.month,
            clean(&other.path)
        )?;
        return Ok(Exit::Difference);
    }
    for signed in signed {
        say_closed(out, settings, signed, "was closed already")?;
    }
    Ok(Exit::Done)
}

fn say_closed(out: &mut dyn Write, settings: &Settings, closed: &ClosedMonth, is: &str) -> Result<Exit, CommandError> {
    closing::keep(&settings.data_dir, closed)?;
    let correction = match closed.number {
        0 => String::new(),
        number => format!(", correction {number},"),
    };
    writeln!(
        out,
        "{}{correction} {is}, at {}: {} with SHA-256 {}",
        closed.month.strftime("%Y-%m"),
        closed.closed_at,
        closing::path_of(&settings.data_dir, closed).display(),
        closed.sha256
    )?;
    Ok(Exit::Done)
}
