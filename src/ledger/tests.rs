//! What the ledger's statements look at: nothing may walk what is done, which grows year by year. And what becomes
//! of the rows that are taken in.

use std::path::Path;
use std::slice;

use super::replies::Replies;
use super::{Admitted, Cursor, Defaults, Ledger, LedgerError, Lock, Phase, Settled, Settlement};
use crate::error_chain;
use crate::record::{Due, MerchantBizId, Pending, ProductCode, Region, TransactionId, expires_at};

/// Statements of a night and of the commands that look at a ledger, with the index that each part of them goes by. The rows
/// themselves are looked at only where `covering` is false.
const STATEMENTS: [(&str, &str, bool, &[&str]); 25] = [
    (
        "plan_queues",
        include_str!("../../sql/plan_queues.sql"),
        true,
        &["transactions_pending"],
    ),
    (
        "report_left",
        include_str!("../../sql/report_left.sql"),
        false,
        &["transactions_pending"],
    ),
    (
        "plan_products",
        include_str!("../../sql/plan_products.sql"),
        true,
        &["transactions_pending"],
    ),
    (
        "plan_deadlines",
        include_str!("../../sql/plan_deadlines.sql"),
        true,
        &["transactions_pending"],
    ),
    (
        "plan_due",
        include_str!("../../sql/plan_due.sql"),
        false,
        &[
            "transactions_pending (product_code=? AND deleted_from=? AND number>?)",
            "transactions_pending (product_code=? AND deleted_from>? AND deleted_from<?)",
        ],
    ),
    (
        "probe_pending",
        include_str!("../../sql/probe_pending.sql"),
        false,
        &["transactions_pending (product_code=?)"],
    ),
    (
        "probe_archived",
        include_str!("../../sql/probe_archived.sql"),
        false,
        &["INTEGER PRIMARY KEY"],
    ),
    (
        "state_counts",
        include_str!("../../sql/state_counts.sql"),
        false,
        &["transactions_pending", "transactions_attention"],
    ),
    (
        "count_expiring",
        include_str!("../../sql/count_expiring.sql"),
        false,
        &[
            "transactions_pending (product_code=? AND deleted_from>? AND deleted_from<?)",
            "transactions_attention (state=?",
        ],
    ),
    (
        "report_expiry",
        include_str!("../../sql/report_expiry.sql"),
        false,
        &["transactions_pending", "transactions_attention (state=?"],
    ),
    (
        "report_quarantine",
        include_str!("../../sql/report_quarantine.sql"),
        false,
        &["transactions_attention (state=?"],
    ),
    (
        "expire_quarantined",
        include_str!("../../sql/expire_quarantined.sql"),
        false,
        &["transactions_attention (state=?"],
    ),
    (
        "quarantine_retry",
        include_str!("../../sql/quarantine_retry.sql"),
        false,
        &["transactions_attention (state=?"],
    ),
    (
        "settle",
        include_str!("../../sql/settle.sql"),
        false,
        &["INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (
        "settle_answered",
        include_str!("../../sql/settle_answered.sql"),
        false,
        &["INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (
        "replies_end",
        include_str!("../../sql/replies_end.sql"),
        false,
        &["journal_large (reply_start>?)"],
    ),
    (
        "replies_all",
        include_str!("../../sql/replies_all.sql"),
        false,
        &["journal_large (reply_start>?)"],
    ),
    (
        "replies_drop",
        include_str!("../../sql/replies_drop.sql"),
        false,
        &["journal_large (reply_start=?)"],
    ),
    (
        "replies_ask_again",
        include_str!("../../sql/replies_ask_again.sql"),
        false,
        &["INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (
        "publish_rows",
        include_str!("../../sql/publish_rows.sql"),
        false,
        &["journal_order", "INTEGER PRIMARY KEY"],
    ),
    (
        "publish_more",
        include_str!("../../sql/publish_more.sql"),
        true,
        &["journal_order ((verified_order,number)>"],
    ),
    (
        "publish_journal_drop",
        include_str!("../../sql/publish_journal_drop.sql"),
        false,
        &["journal_order ((verified_order,number)<"],
    ),
    (
        "admit_in_journal",
        include_str!("../../sql/admit_in_journal.sql"),
        true,
        &["journal_order (verified_order=? AND number=?)"],
    ),
    (
        "admit_journalled",
        include_str!("../../sql/admit_journalled.sql"),
        false,
        &["journal_order (verified_order=? AND number=?)"],
    ),
    (
        "admit_lookup",
        include_str!("../../sql/admit_lookup.sql"),
        false,
        &["transactions_id (transaction_id=?)"],
    ),
];

#[test]
fn no_statement_of_a_night_walks_the_rows_that_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::acquire(folder.path()).unwrap();
    let ledger = Ledger::open(folder.path(), &lock).unwrap();
    for (name, sql, covering, indices) in STATEMENTS {
        let mut explain = ledger.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // The parameters stay null, which makes no difference to the plan.
        let mut rows = explain.raw_query();
        let mut steps: Vec<String> = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get("detail").unwrap());
        }
        let plan = steps.join("\n");
        for index in indices {
            assert!(plan.contains(index), "{name} does not go by {index}:\n{plan}");
        }
        // Whatever the statement calls a table; what it made itself, such as a list of products, is none.
        let made = |step: &String| {
            step.strip_prefix("MATERIALIZE ")
                .or(step.strip_prefix("CO-ROUTINE "))
                .map(str::to_owned)
        };
        let made: Vec<String> = steps.iter().filter_map(made).chain(["CONSTANT".to_owned()]).collect();
        let walks = |step: &&String| {
            let table = step.strip_prefix("SCAN ").and_then(|table| table.split(' ').next());
            table.is_some_and(|table| !made.iter().any(|made| made == table))
        };
        for step in steps.iter().filter(walks) {
            assert!(
                step.contains(" INDEX transactions_pending") || step.contains(" INDEX journal_order"),
                "{name}:\n{plan}"
            );
        }
        let uses = |step: &&String| step.contains(" INDEX transactions_") || step.contains(" INDEX journal_");
        if covering {
            for step in steps.iter().filter(uses) {
                assert!(step.contains("COVERING"), "{name} looks at the rows:\n{plan}");
            }
        }
    }
}

fn open(folder: &Path) -> Ledger {
    Ledger::open(folder, &Lock::acquire(folder).unwrap()).unwrap()
}

/// Rows with these ids; one that ends in `!` says another region.
fn rows(ids: &[&str]) -> Vec<Pending> {
    let row = |id: &&str| Pending {
        transaction_id: TransactionId::parse(id.trim_end_matches('!')).unwrap(),
        merchant_biz_id: None,
        product_code: None,
        region: id.ends_with('!').then(|| Region::parse("eu-central-1").unwrap()),
        verified_at: None,
    };
    ids.iter().map(row).collect()
}

fn defaults() -> Defaults {
    Defaults {
        product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
        region: Region::parse("ap-southeast-1").unwrap(),
    }
}

/// Takes the rows in by a run of their own, `batch` at a time; gives what became of each.
fn admit(ledger: &mut Ledger, ids: &[&str], batch: usize) -> Vec<Admitted> {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let run = ledger.begin_run(now, None).unwrap();
    let defaults = defaults();
    let rows = rows(ids);
    let mut admission = ledger.admission(&defaults, &run, now);
    let mut became: Vec<Admitted> = Vec::new();
    for rows in rows.chunks(batch) {
        became.extend(admission.admit(&rows.iter().collect::<Vec<_>>()).unwrap());
    }
    admission.commit().unwrap();
    became
}

#[test]
fn rows_become_the_same_however_many_come_at_a_time() {
    use Admitted::{Completed, Duplicate, Known, New};
    for batch in [1, 2, 3, 100] {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(folder.path());
        let first = admit(&mut ledger, &["a", "b", "a", "c", "d", "b!"], batch);
        assert_eq!(first, [New, New, Duplicate, New, New, Completed], "empty, by {batch}");
        let ids = ["a", "b", "d", "new", "a", "b", "c", "c", "d", "new", "end", "a!", "b"];
        let expected = [
            Known, Known, Known, New, Known, Known, Known, Known, Known, Duplicate, New, Completed, Known,
        ];
        assert_eq!(admit(&mut ledger, &ids, batch), expected, "by {batch}");
        let conflict = admit(&mut ledger, &["a", "b!", "c!"], batch);
        assert_eq!(conflict, [Known, Known, Completed], "by {batch}");
        let ids: Vec<String> = {
            let mut ids = ledger
                .connection
                .prepare("SELECT transaction_id FROM transactions ORDER BY number")
                .unwrap();
            ids.query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(
            ids,
            ["a", "b", "c", "d", "new", "end"],
            "in the order of their arrival, by {batch}"
        );
        ledger.check_integrity().unwrap();
    }
}

#[test]
fn the_ledger_says_of_each_row_what_the_source_said() {
    let given = |number: i64| Pending {
        transaction_id: TransactionId::parse(&format!("t{number}")).unwrap(),
        merchant_biz_id: (number % 2 == 0).then(|| MerchantBizId::parse(&format!("m{number}")).unwrap()),
        product_code: (number % 3 == 0).then(|| ProductCode::parse("eKYC").unwrap()),
        region: (number % 5 == 0).then(|| Region::parse("eu-central-1").unwrap()),
        verified_at: (number % 7 != 0).then(|| jiff::Timestamp::from_microsecond(number).unwrap()),
    };
    let given: Vec<Pending> = (0..100).map(given).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    let now = jiff::Timestamp::from_second(1_000).unwrap();
    let run = ledger.begin_run(now, None).unwrap();
    let defaults = defaults();
    let mut admission = ledger.admission(&defaults, &run, now);
    admission.admit(&given.iter().collect::<Vec<_>>()).unwrap();
    admission.commit().unwrap();
    drop(admission);
    let mut stored = ledger
        .connection
        .prepare("SELECT * FROM transactions ORDER BY number")
        .unwrap();
    let mut stored = stored.query([]).unwrap();
    for (row, number) in given.iter().zip(1..) {
        let stored = stored.next().unwrap().unwrap();
        let text = |name| stored.get::<_, Option<String>>(name).unwrap();
        let whole = |name| stored.get::<_, Option<i64>>(name).unwrap();
        assert_eq!(whole("number"), Some(number));
        assert_eq!(text("transaction_id").unwrap(), row.transaction_id.as_str());
        assert_eq!(
            text("merchant_biz_id").as_deref(),
            row.merchant_biz_id.as_ref().map(MerchantBizId::as_str)
        );
        let product_code = row.product_code.as_ref().unwrap_or(&defaults.product_code);
        assert_eq!(text("product_code").unwrap(), product_code.as_str());
        assert_eq!(whole("product_assumed"), Some(row.product_code.is_none().into()));
        let region = row.region.as_ref().unwrap_or(&defaults.region);
        assert_eq!(text("region").unwrap(), region.as_str());
        assert_eq!(whole("region_assumed"), Some(row.region.is_none().into()));
        assert_eq!(
            whole("verified_at"),
            row.verified_at.map(jiff::Timestamp::as_microsecond)
        );
        assert_eq!(whole("first_seen_at"), Some(now.as_microsecond()));
        assert_eq!(whole("first_run"), Some(run.number));
        let deleted_from = row.verified_at.map_or(now, expires_at);
        assert_eq!(whole("deleted_from"), Some(deleted_from.as_microsecond()));
        assert_eq!(whole("age_known"), Some(row.verified_at.is_some().into()));
    }
    assert!(stored.next().unwrap().is_none());
}

/// Replies in the journal, and those that say what the test's settlements and their own rows say.
const KEPT: &str = "
    SELECT count(*), count(*) FILTER (
        WHERE journal.transaction_id = t.transaction_id AND journal.merchant_biz_id IS t.merchant_biz_id
          AND journal.product_code = t.product_code AND journal.region = t.region
          AND journal.verified_order = coalesce(t.verified_at, 9223372036854775807)
          AND (run_number, fetched_at) = (?1, ?2)
          AND (t.state, t.attempts, t.last_call_code, t.last_call_at) = ('answered', 3, 'Success', ?2)
          AND (t.passed, t.sub_code) = (journal.passed, journal.sub_code)
          AND (journal.passed, journal.sub_code, body) = (1, '205', CAST(t.transaction_id AS BLOB))
          AND (reply_start, reply_bytes, reply_crc32) IS (NULL, NULL, NULL))
    FROM journal
    LEFT JOIN transactions AS t USING (number)";

#[test]
fn a_reply_is_kept_once_and_only_of_a_row_that_is_pending_as_the_plan_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    let mut ids = rows(&["a", "b!", "c", "d", "e", "f"]);
    ids[0].merchant_biz_id = Some(MerchantBizId::parse("m1").unwrap());
    ids[1].verified_at = Some("2026-11-21T00:00:00Z".parse().unwrap());
    let now: jiff::Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
    let run = ledger.begin_run(now, None).unwrap();
    let defaults = defaults();
    let mut admission = ledger.admission(&defaults, &run, now);
    admission.admit(&ids.iter().collect::<Vec<_>>()).unwrap();
    admission.commit().unwrap();
    drop(admission);
    let plan = ledger.due_page(&defaults.product_code, Phase::Live, &Cursor::start(), now, 10);
    let answered = |due: Due| Settlement {
        attempts: 3,
        call_code: "Success".to_owned(),
        message: None,
        called_at: now,
        settled: Settled::Journalled {
            passed: true,
            sub_code: "205".to_owned(),
            body: due.transaction_id.as_str().into(),
        },
        due,
    };
    let answered: Vec<Settlement> = plan.unwrap().rows.into_iter().map(answered).collect();
    let mut large = Replies::of(&ledger).unwrap();
    let mut settle = |ledger: &mut Ledger, answered: &[Settlement]| {
        let settled = ledger.settle(run.number, answered, &mut large);
        let kept = ledger
            .connection
            .query_row(KEPT, [run.number, now.as_microsecond()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            });
        let (kept, right): (usize, usize) = kept.unwrap();
        assert_eq!(kept, right);
        (settled.map_err(|error| error_chain(&error)), kept)
    };
    // As the plan has it: those of unknown age first.
    let [first, next, lost, other_product, other_age, dated] = answered.as_slice() else {
        panic!("{answered:?}");
    };
    assert_eq!(settle(&mut ledger, &[first.clone(), dated.clone()]), (Ok(()), 2));
    let edited = [
        (lost, "state = 'lost'"),
        (other_product, "product_code = 'eKYC'"),
        (
            other_age,
            "verified_at = 0, age_known = 1, deleted_from = 2592000000000",
        ),
    ];
    for (settlement, edit) in edited {
        let id = &settlement.due.transaction_id;
        let edit = format!("UPDATE transactions SET {edit} WHERE transaction_id = ?1");
        ledger.connection.execute(&edit, [id.as_str()]).unwrap();
        let (settled, kept) = settle(&mut ledger, &[next.clone(), settlement.clone()]);
        let refused = settled.unwrap_err();
        assert!(
            refused.contains(&format!("{id} was answered and is not pending")),
            "{refused}"
        );
        assert_eq!(kept, 2, "nothing of a commit with {edit}");
    }
    let (twice, kept) = settle(&mut ledger, slice::from_ref(first));
    assert!(twice.unwrap_err().contains("was answered and is not pending"));
    assert_eq!(kept, 2);
    assert_eq!(settle(&mut ledger, slice::from_ref(next)), (Ok(()), 3));
}

#[test]
fn a_ledger_can_be_closed_as_soon_as_it_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    admit(&mut ledger, &["a", "b"], 2);
    ledger.close().unwrap();
    let ledger = open(folder.path());
    assert_eq!(ledger.state_counts().unwrap().total(), 2);
}

/// What takes the longer the more the ledger holds is left off where there is no time, and done as ever where there is.
#[test]
fn a_long_look_at_the_ledger_is_left_off_where_the_run_has_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    let ids: Vec<String> = (0..20_000).map(|number| format!("id{number:020}")).collect();
    admit(&mut ledger, &ids.iter().map(String::as_str).collect::<Vec<_>>(), 1_000);
    let count = |ledger: &Ledger| ledger.state_counts().map(drop);
    for (overdue, left_off) in [(true, true), (false, false)] {
        for look in [
            &Ledger::check_pages as &dyn Fn(&Ledger) -> Result<(), LedgerError>,
            &count,
        ] {
            let looked = ledger.unless(move || overdue, look);
            let interrupted = matches!(looked, Err(LedgerError::Interrupted { .. }));
            assert_eq!((interrupted, looked.is_ok()), (left_off, !left_off), "{looked:?}");
        }
    }
    ledger.close().unwrap();
    let lock = Lock::acquire(folder.path()).unwrap();
    let opened = Ledger::open_unless(folder.path(), &lock, || true);
    assert!(matches!(opened, Err(LedgerError::Interrupted { .. })), "{opened:?}");
    Ledger::open(folder.path(), &lock).unwrap().check_pages().unwrap();
}

#[test]
fn rows_that_were_not_committed_are_not_taken_in_and_readers_see_those_that_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    let reader = ledger.readers().open().unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let run = ledger.begin_run(now, None).unwrap();
    let (defaults, rows) = (defaults(), rows(&["a", "b"]));
    let mut admission = ledger.admission(&defaults, &run, now);
    admission.admit(&[&rows[0]]).unwrap();
    assert_eq!(reader.state_counts().unwrap().total(), 0);
    admission.commit().unwrap();
    assert_eq!(reader.state_counts().unwrap().total(), 1);
    admission.admit(&[&rows[1]]).unwrap();
    drop(admission);
    assert_eq!(ledger.state_counts().unwrap().total(), 1);
    assert_eq!(admit(&mut ledger, &["a", "b"], 2), [Admitted::Known, Admitted::New]);
}
