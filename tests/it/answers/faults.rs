//! Nothing that can be relied on: retried with a backoff, a few times, then left for the next run.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::server::{Answer, Manner, serve};
use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{FRESH, Idvault};

/// Every answer that can't be relied on, with what the ledger calls it; but for those that take a timeout.
fn faults() -> Vec<(&'static str, &'static str, Answer)> {
    let page = "<html><body><h1>Bad Gateway</h1><code>Success</code></body></html>";
    let whole = verdict("Y", "200").body;
    let half = whole[..whole.len() / 2].to_vec();
    vec![
        ("server", "InternalError", error(500, "InternalError")),
        ("busy", "ServiceUnavailable", error(503, "ServiceUnavailable")),
        ("bare", "http 502", Answer::new(502, "")),
        ("page502", "http 502", Answer::new(502, page)),
        ("page200", "unreadable", Answer::new(200, page)),
        ("page403", "http 403", Answer::new(403, page)),
        ("halfjson", "unreadable", Answer::new(200, half)),
        ("noise", "unreadable", Answer::new(200, vec![0xFF, 0x00, 0xC3, 0x28])),
        ("number", "unreadable", Answer::new(200, "42")),
        ("empty", "unreadable", Answer::new(200, "")),
        (
            "nogzip",
            "broken",
            Answer::new(200, "{}").header("content-encoding", "gzip"),
        ),
        ("cut", "broken", verdict("Y", "200").manner(Manner::Cut)),
        ("closed", "broken", Answer::none(Manner::Close)),
        ("reset", "broken", Answer::none(Manner::Reset)),
        ("unknown", "Unheard.Of", error(400, "Unheard.Of")),
        ("unknown200", "Unheard.Of", error(200, "Unheard.Of")),
        ("nonce", "SignatureNonceUsed", error(400, "SignatureNonceUsed")),
    ]
}

/// Nine at a time, as more in a row were an outage.
#[test]
fn each_fault_is_tried_again_and_the_verdict_that_follows_is_archived() {
    for faults in faults().chunks(9) {
        let (idvault, vendor) = (Idvault::new(), Vendor::start());
        for (id, _, fault) in faults {
            vendor.script(id, [fault.clone(), verdict("Y", "200")]);
        }
        idvault.pending(&faults.iter().map(|(id, ..)| (*id, FRESH)).collect::<Vec<_>>());
        idvault.run(&vendor, &[]).exits(0);
        let archived = idvault.archived();
        assert_eq!(archived.len(), faults.len());
        for (id, ..) in faults {
            let calls = vendor.calls_for(id);
            assert_eq!(calls.len(), 2, "{id}");
            let backoff = calls[1].request.at.duration_since(calls[0].request.at);
            assert!(
                backoff >= Duration::from_millis(250),
                "{id}: tried again after {backoff:?}"
            );
            assert_eq!(idvault.row(id).attempts, 2, "{id}");
        }
        assert_eq!(idvault.summary()["fetch"]["retries"], faults.len());
    }
}

/// Nine at a time, as more in a row were an outage, and a good one beside them.
#[test]
fn what_always_fails_is_tried_as_often_as_set_and_left_for_the_next_run() {
    for faults in faults().chunks(9) {
        let (idvault, vendor) = (Idvault::new(), Vendor::start());
        idvault.write("idvault.toml", "[retry]\nattempts_per_call = 2\n");
        vendor.script("good", [verdict("Y", "200")]);
        for (id, _, fault) in faults {
            vendor.script(id, [fault.clone(), fault.clone()]);
        }
        let mut rows: Vec<_> = faults.iter().map(|(id, ..)| (*id, FRESH)).collect();
        rows.push(("good", FRESH));
        idvault.pending(&rows);
        let left = format!("{} due records are left for the next run", faults.len());
        idvault.run(&vendor, &[]).exits(4).says(&left);
        for (id, call_code, _) in faults {
            let row = idvault.row(id);
            assert_eq!((row.state.as_str(), row.attempts), ("pending", 2), "{id}");
            assert_eq!(row.last_call_code.as_deref(), Some(*call_code), "{id}");
            // What the service itself answers counts against the id; what breaks on the way does not.
            let answered = ["server", "busy", "bare", "page502", "unknown", "unknown200"].contains(id);
            assert_eq!(row.failed_runs, u32::from(answered), "{id}");
        }
        assert_eq!(idvault.archived().len(), 1);

        for (id, ..) in faults {
            vendor.script(id, [verdict("N", "204")]);
        }
        idvault.run(&vendor, &[]).exits(0);
        assert_eq!(idvault.archived().len(), 1 + faults.len());
    }
}

#[test]
fn four_attempts_are_made_where_nothing_is_set() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", vec![error(500, "InternalError"); 4]);
    idvault.pending(&[("t1", FRESH)]);
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(idvault.row("t1").attempts, 4);
    // Half a second, one, two; at least half of each.
    let calls = vendor.calls();
    for (pair, least) in calls.windows(2).zip([250, 500, 1_000]) {
        let backoff = pair[1].request.at.duration_since(pair[0].answered_at);
        assert!(
            backoff >= Duration::from_millis(least),
            "{backoff:?} is less than {least} ms"
        );
    }
}

/// Thirty ids at once find the vendor down. From the twentieth attempt on it is an outage: a second goes by before the next call,
/// which is one, and no id has used its attempts up by the time it ends. Without that they would come again within half
/// a second. The question is about the last id of the plan.
#[test]
fn an_outage_is_waited_out_and_costs_no_id_its_attempts() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let ids: Vec<String> = (0..30).map(|number| format!("t{number:02}")).collect();
    for id in &ids {
        vendor.script(id, [error(503, "ServiceUnavailable"), verdict("Y", "200")]);
    }
    vendor.script("t29", [verdict("Y", "200")]);
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    idvault
        .run(&vendor, &["--concurrency", "30"])
        .exits(0)
        .says("the vendor answers again");
    assert_eq!(idvault.archived().len(), ids.len());
    let calls = vendor.calls();
    let mut answered: Vec<_> = calls[..30].iter().map(|call| call.answered_at).collect();
    answered.sort();
    let wait = calls[30].request.at.duration_since(answered[19]);
    assert!(wait >= Duration::from_secs(1), "{wait:?}");
    assert_eq!(calls[30].transaction_id, "t29");
    let charged: u32 = ids.iter().map(|id| idvault.row(id).attempts).sum();
    assert_eq!(
        charged,
        30 + 19,
        "those before it was known for an outage, and the verdicts"
    );
}

#[test]
fn an_answer_that_takes_too_long_is_tried_again() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write("idvault.toml", "[timeouts]\nread = '2s'\nattempt = '4s'\n");
    vendor.script("silent", [Answer::none(Manner::Hang), verdict("Y", "200")]);
    vendor.script("slow", [verdict("Y", "200").manner(Manner::Drip), verdict("Y", "200")]);
    idvault.pending(&[("silent", FRESH), ("slow", FRESH)]);
    let ended = idvault.run(&vendor, &["-v"]).exits(0);
    assert_eq!(
        ended.stderr.matches("did not answer in time").count(),
        2,
        "{}",
        ended.stderr
    );
    for (id, least) in [("silent", 2), ("slow", 4)] {
        let calls = vendor.calls_for(id);
        let wait = calls[1].request.at.duration_since(calls[0].request.at);
        assert!(wait >= Duration::from_secs(least), "{id}: {wait:?}");
        assert_eq!(idvault.row(id).attempts, 2, "{id}");
    }
}

#[test]
fn a_vendor_that_can_not_be_reached_is_an_outage_and_no_ids_fault() {
    let idvault = Idvault::new();
    idvault.write(
        "idvault.toml",
        "[retry]\nattempts_per_call = 2\nquarantine_after_runs = 1\n",
    );
    idvault.pending(&[("t1", FRESH)]);
    // The doubles of all tests listen on 127.0.0.1.
    let url = "http://127.0.0.9:9";
    idvault
        .execute(&[
            "run",
            "--endpoint",
            url,
            "--pending",
            "pending.csv",
            "--now",
            crate::common::NOW,
        ])
        .exits(4);
    let row = idvault.row("t1");
    assert_eq!((row.state.as_str(), row.attempts, row.failed_runs), ("pending", 2, 0));
    assert_eq!(row.last_call_code.as_deref(), Some("connect"));
}

/// 20 retries are free and every sixth call earns one: 180 calls have 50, where four attempts for each bad one would take
/// 270. Every second id is a good one, so it is no outage.
#[test]
fn what_fails_costs_no_more_retries_than_the_runs_budget() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let ids: Vec<String> = (0..180).map(|number| format!("t{number:03}")).collect();
    for (number, id) in ids.iter().enumerate() {
        let good = number % 2 == 0;
        vendor.always(
            id,
            if good {
                verdict("Y", "200")
            } else {
                error(500, "InternalError")
            },
        );
    }
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    idvault.run(&vendor, &["--concurrency", "16"]).exits(4);
    let retries = vendor.calls().len() - 180;
    assert!((1..=50).contains(&retries), "{retries} retries");
    assert_eq!(idvault.summary()["fetch"]["left"], 90);
}

#[test]
fn in_an_outage_one_attempt_at_a_time_asks_whether_it_is_over() {
    // The first call goes alone. The answers to the others come when every id was asked about: else those that were not yet would
    // wait for the end of the outage.
    let (all, calls) = (Barrier::new(89), AtomicUsize::new(0));
    let vendor = Vendor::start_as(|answer| {
        serve(move |request| {
            if (1..90).contains(&calls.fetch_add(1, Ordering::Relaxed)) {
                all.wait();
            }
            answer(request)
        })
    });
    let idvault = Idvault::new();
    vendor.otherwise(error(500, "InternalError"));
    let ids: Vec<String> = (0..90).map(|number| format!("t{number:02}")).collect();
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    let args = ["--concurrency", "90", "--time-limit", "5s"];
    idvault.run(&vendor, &args).exits(4).says("the vendor does not answer");
    // After 1 second, 2 and 4: the third question comes too late.
    let questions = vendor.calls().len() - 90;
    assert!((1..=2).contains(&questions), "{questions} questions");
    assert_eq!(idvault.summary()["fetch"]["left"], 90);
    let charged: u32 = ids.iter().map(|id| idvault.row(id).attempts).sum();
    assert_eq!(charged, 0, "the run stopped before any id's call had ended");
}

/// Each holds 8 MiB while it is read: were that kept while it is asked whether others are answered, eight of them would
/// wait for each other for ever.
#[test]
fn large_faulty_replies_do_not_hold_each_other_up() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    let page = vec![b'x'; 100 * 1024];
    vendor.otherwise(Answer::new(502, page).manner(Manner::Chunked));
    let ids: Vec<String> = (0..9).map(|number| format!("t{number}")).collect();
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    let ended = idvault.run(&vendor, &["--concurrency", "8", "--qps", "20"]).exits(4);
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
    assert_eq!(idvault.summary()["fetch"]["left"], 9);
}

/// What nobody is asked about is no answer, and neither is what the vendor says of all ids alike.
#[test]
fn only_an_answer_to_another_id_lets_a_failing_one_be_blamed() {
    for (region, answer) in [
        ("mars-1", error(500, "InternalError")),
        ("ap-southeast-1", error(400, "Something.New")),
    ] {
        let (idvault, vendor) = (Idvault::new(), Vendor::start());
        let config = "[retry]\nattempts_per_call = 1\nquarantine_after_runs = 1\n";
        idvault.write(
            "idvault.toml",
            format!("{config}[endpoints]\nmars-1 = '{}'\n", vendor.url),
        );
        vendor.otherwise(answer);
        let rows: Vec<String> = (0..9)
            .map(|number| format!("t{number},ap-southeast-1,{FRESH}\n"))
            .collect();
        let last = format!("u,{region},2026-11-21T10:00:00Z\n");
        idvault.write(
            "pending.csv",
            format!("transaction_id,region,verified_at\n{}{last}", rows.concat()),
        );
        idvault.run(&vendor, &["--intake-only"]).exits(0);
        idvault.write("idvault.toml", config);
        idvault.run(&vendor, &[]);
        let quarantined = "SELECT count(*) FROM transactions WHERE state = 'quarantined'";
        let quarantined: u64 = idvault.ledger().query_row(quarantined, [], |row| row.get(0)).unwrap();
        assert_eq!(quarantined, 0, "{region}");
    }
}

/// Both regions are of one product. The ids of the one that is down come first and are more than calls are in flight, and the first
/// such run would be enough to quarantine them.
#[test]
fn a_region_that_is_down_holds_no_other_up_and_is_no_ids_fault() {
    for known in [false, true] {
        let idvault = Idvault::new();
        let run = |well: &Vendor, down: &Vendor, rows: &str| {
            let config = format!(
                "account = 'one'\n[retry]\nquarantine_after_runs = 1\npatience = '4s'\n[endpoints]\nap-southeast-1 = '{}'\nap-southeast-5 = '{}'\n",
                well.url, down.url
            );
            idvault.write("idvault.toml", config);
            idvault.write("pending.csv", format!("transaction_id,region,verified_at\n{rows}"));
            let args = ["run", "--pending", "pending.csv", "--qps", "1000", "--concurrency", "8"];
            idvault.execute(&[&args[..], &["--now", crate::common::NOW]].concat())
        };
        if known {
            // Answered in both, so that each can be asked about a record that it should answer.
            let vendor = Vendor::start();
            vendor.otherwise(verdict("Y", "200"));
            let rows = format!("before1,ap-southeast-1,{FRESH}\nbefore2,ap-southeast-5,{FRESH}\n");
            run(&vendor, &vendor, &rows).exits(0);
        }
        let (well, down) = (Vendor::start(), Vendor::start());
        well.otherwise(verdict("Y", "200"));
        down.otherwise(error(500, "InternalError"));
        let first = (0..20).map(|number| format!("down{number:02},ap-southeast-5,2026-11-01T10:00:00Z\n"));
        let last = (0..40).map(|number| format!("well{number:02},ap-southeast-1,{FRESH}\n"));
        let ended = run(&well, &down, &first.chain(last).collect::<String>()).exits(4);
        ended.says("no answers for 4s: left for the next run region=ap-southeast-5 product_code=FACE_LIVENESS");
        let count = |sql: &str| -> u64 { idvault.ledger().query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(
            count("SELECT count(*) FROM transaction_states WHERE state = 'archived' AND transaction_id LIKE 'well%'"),
            40
        );
        let blamed = "SELECT count(*) FROM transactions WHERE transaction_id LIKE 'down%' AND (state <> 'pending' OR failed_runs > 0)";
        assert_eq!(count(blamed), 0, "known: {known}");
    }
}
