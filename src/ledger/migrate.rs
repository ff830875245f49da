//! The schema's history: an append-only list, indexed by SQLite's `user_version`.

use super::{Ledger, LedgerError};

/// Marks the file as idvault's ("idvt").
const APPLICATION_ID: i64 = 0x6964_7674;

/// Every migration so far. One that was released is never changed: a new one is appended.
const MIGRATIONS: [&str; 13] = [
    include_str!("../../sql/migrations/0001_ledger.sql"),
    include_str!("../../sql/migrations/0002_numbers.sql"),
    include_str!("../../sql/migrations/0003_closed_months.sql"),
    include_str!("../../sql/migrations/0004_causes.sql"),
    include_str!("../../sql/migrations/0005_regional_outages.sql"),
    include_str!("../../sql/migrations/0006_replaced.sql"),
    include_str!("../../sql/migrations/0007_answered.sql"),
    include_str!("../../sql/migrations/0008_large_replies.sql"),
    include_str!("../../sql/migrations/0009_answered_with_replies.sql"),
    include_str!("../../sql/migrations/0010_unknown_verdicts.sql"),
    include_str!("../../sql/migrations/0011_history.sql"),
    include_str!("../../sql/migrations/0012_queues.sql"),
    include_str!("../../sql/migrations/0013_corrections.sql"),
];

#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Brings the ledger to the newest schema; each step is one transaction of its own.
pub(super) fn migrate(ledger: &mut Ledger) -> Result<(), LedgerError> {
    let found = schema_version(ledger)?;
    let failed = ledger.failed("migrate the schema");
    for (done, migration) in (0_i64..).zip(MIGRATIONS).skip_while(|(done, _)| *done < found) {
        let step = ledger.connection.transaction().and_then(|step| {
            step.execute_batch(migration)?;
            step.pragma_update(None, "application_id", APPLICATION_ID)?;
            step.pragma_update(None, "user_version", done + 1)?;
            step.commit()
        });
        step.map_err(&failed)?;
    }
    Ok(())
}

/// Refuses what is not of the newest schema.
pub(super) fn check(ledger: &Ledger) -> Result<(), LedgerError> {
    match schema_version(ledger)? {
        NEWEST => Ok(()),
        0 => Err(LedgerError::Empty {
            path: ledger.path.clone(),
        }),
        found => Err(LedgerError::Older {
            path: ledger.path.clone(),
            found,
            known: NEWEST,
        }),
    }
}

/// The file's schema, 0 where it is empty. Refuses another program's file and a newer schema; changes nothing.
pub(super) fn schema_version(ledger: &Ledger) -> Result<i64, LedgerError> {
    let failed = ledger.failed("read the schema version");
    let pragma = |name| {
        ledger
            .connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
    };
    let version = pragma("user_version").map_err(&failed)?;
    let application = pragma("application_id").map_err(&failed)?;
    let tables: i64 = ledger
        .connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(&failed)?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0) {
        return Err(LedgerError::Foreign {
            path: ledger.path.clone(),
            found: application,
        });
    }
    if version > NEWEST {
        return Err(LedgerError::Newer {
            path: ledger.path.clone(),
            found: version,
            known: NEWEST,
        });
    }
    Ok(version)
}
