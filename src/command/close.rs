//! `idvault close`: signs a month off.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::civil::Date;

use super::output::stdout;
use super::{CommandError, Context, first_of};
use crate::archive::Archive;
use crate::audit;
use crate::cli::{CloseArgs, Global};
use crate::closing::{self, RECORD_VERSION, Record, SignedFile};
use crate::config::Settings;
use crate::exit::Exit;
use crate::history;
use crate::ledger::{ClosedMonth, Ledger, Lock, StateCounts};
use crate::plain::clean;
use crate::reconcile::bill::{self, Bill};
use crate::reconcile::evidence::Month;
use crate::reconcile::{self, Reconciled, Request};
use crate::record::State;
use crate::report::billing::{self, BillingTotals};
use crate::run::RunError;

pub(super) fn execute(args: &CloseArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let month = first_of(&args.month)?;
    let now = context.host.clock.now();
    // Signed off by the real clock. One that was given can only make it earlier.
    let given = global.now.map_or(now, |given| given.min(now));
    let mut out = stdout();
    // Whether there is one comes first: a command that closes must not make an empty ledger.
    drop(Ledger::open_read_only(&settings.data_dir)?);
    // Whatever the bill is, the lock does not wait for it.
    let has_bill = !args.bill.is_empty();
    let bill = has_bill.then(|| bill::read(&args.bill, &settings.bill)).transpose()?;
    let lock = Lock::acquire(&settings.data_dir)?;
    let (mut ledger, archive) = context.open(&settings, &lock, global)?;
    let closed = ledger.closed_months(Some((month, month)))?.pop();
    if let Some(closed) = closed {
        return say_closed(&mut out, &settings, &closed, "was closed already");
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
    let days = Month::of(month, &settings.billing_zone);
    let days = days.ok_or_else(|| CommandError::Usage(format!("{} can't be closed", args.month)))?;
    let compare = |bill| compare(args, bill, &days, today, &ledger, &settings);
    let reconciled = bill.as_ref().map(compare).transpose()?;
    let bills = bill.map_or_else(Vec::new, signed_bills);
    let closing = Closing::read(args, &days, reconciled, bills, &ledger, &settings)?;
    if let Some(exit) = closing.refused(&mut out)? {
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
        let mut rows = billing.rows;
        // They belong to no month, and would change what is signed off.
        rows.retain(|row| row.billing_day.is_some());
        let states = ledger.states_between(month.span())?;
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
            objections: objections(reconciled.as_ref(), &totals),
            rows,
            totals: serde_json::to_value(&totals).map_err(io::Error::from)?,
            states: serde_json::to_value(&states).map_err(io::Error::from)?,
            files: audited.files.iter().map(signed).collect(),
            bills,
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

/// The bill against the archive.
fn compare(
    args: &CloseArgs,
    bill: &Bill,
    month: &Month,
    today: Date,
    ledger: &Ledger,
    settings: &Settings,
) -> Result<Reconciled, CommandError> {
    let request = Request {
        bill: Some(bill),
        recorded: None,
        month,
        today,
        pricing: &settings.pricing,
        defaults: &settings.defaults,
        tolerance: args.tolerance.unwrap_or_default(),
    };
    Ok(reconcile::reconcile(ledger, &request)?)
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

/// What speaks against closing the month, and can be accepted.
fn objections(reconciled: Option<&Reconciled>, totals: &BillingTotals) -> Vec<String> {
    let mut objections = Vec::new();
    match reconciled {
        None => objections.push("no bill was given".to_owned()),
        Some(reconciled) if reconciled.beyond_tolerance > 0 => objections.push(format!(
            "the bill is wrong on {} lines of a day, product and region; `idvault reconcile` says where and why",
            reconciled.beyond_tolerance
        )),
        Some(_) => {}
    }
    for code in totals.unknown_sub_codes() {
        objections.push(format!(
            "it is not known whether {} with the sub code {} is billed; verifications: {}",
            code.product_code, code.sub_code, code.verifications
        ));
    }
    if totals.unpriced > 0 {
        objections.push(format!("{} billed verifications have no known price", totals.unpriced));
    }
    objections
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
