//! What the ledger's statements look at: nothing may walk what is done, which grows year by year.

use super::{Ledger, Lock};

/// Statements of a night and of the commands that look at a ledger, with the index that each part of them goes by. The rows
/// themselves are looked at only where `covering` is false.
const STATEMENTS: [(&str, &str, bool, &[&str]); 15] = [
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
        &["transactions_pending (product_code=? AND deleted_from>?"],
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
        true,
        &["transactions_pending", "journal_order", "transactions_attention"],
    ),
    (
        "count_expiring",
        include_str!("../../sql/count_expiring.sql"),
        false,
        &["transactions_pending", "transactions_attention (state=?"],
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
        "publish_next",
        include_str!("../../sql/publish_next.sql"),
        true,
        &["journal_order"],
    ),
    (
        "publish_rows",
        include_str!("../../sql/publish_rows.sql"),
        false,
        &["journal_order (verified_order>?", "INTEGER PRIMARY KEY"],
    ),
    (
        "publish_archived",
        include_str!("../../sql/publish_archived.sql"),
        false,
        &["INTEGER PRIMARY KEY", "journal_order (verified_order>?"],
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
        let walks = |step: &&String| {
            ["SCAN transactions", "SCAN journal"]
                .iter()
                .any(|walk| step.starts_with(walk))
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
