-- Ids get a number in the order of their arrival, and all that is done a record goes by it: an id is 30 bytes of chance,
-- which touches another page of a large ledger each time. Conditions on `state` are spelled out with OR: for IN with more
-- than two words SQLite builds a table of them for each statement, which costs more than the statement.

CREATE TABLE numbered (
    -- 1, 2, 3, ... without a gap: nothing is ever deleted, so the highest is the number of ids.
    number             INTEGER PRIMARY KEY,
    transaction_id     TEXT    NOT NULL,
    merchant_biz_id    TEXT,                        -- null: derived from the transaction id
    product_code       TEXT    NOT NULL,
    product_assumed    INTEGER NOT NULL,            -- 1: the row did not say, the default was taken
    region             TEXT    NOT NULL,
    region_assumed     INTEGER NOT NULL,
    verified_at        INTEGER,                     -- null: unknown
    first_seen_at      INTEGER NOT NULL,
    first_run          INTEGER NOT NULL REFERENCES runs (run_number),
    -- The earliest time at which the vendor may delete the result: 30 days after verified_at. Where the age is
    -- unknown that may be any time, so such a row is as urgent as can be. Not generated, as an index that has a generated
    -- column is never read alone.
    deleted_from       INTEGER NOT NULL,
    age_known          INTEGER NOT NULL,
    state              TEXT    NOT NULL DEFAULT 'pending'
        CHECK (state = 'pending' OR state = 'journalled' OR state = 'archived' OR state = 'quarantined'
            OR state = 'lost' OR state = 'abandoned'),
    next_due_at        INTEGER NOT NULL DEFAULT 0,
    attempts           INTEGER NOT NULL DEFAULT 0,  -- those charged to this id
    not_completed_runs INTEGER NOT NULL DEFAULT 0,
    failed_runs        INTEGER NOT NULL DEFAULT 0,
    last_call_code     TEXT,
    last_call_at       INTEGER,
    last_message       TEXT,
    passed             INTEGER,
    sub_code           TEXT,
    CHECK (deleted_from = coalesce(verified_at + 2592000000000, first_seen_at)),
    CHECK (age_known = (verified_at IS NOT NULL)),
    -- A verdict is known exactly where the reply was kept.
    CHECK ((state = 'journalled' OR state = 'archived') = (passed IS NOT NULL)),
    CHECK ((passed IS NULL) = (sub_code IS NULL))
) STRICT;

INSERT INTO numbered (transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at,
                      first_seen_at, first_run, deleted_from, age_known, state, next_due_at, attempts, not_completed_runs,
                      failed_runs, last_call_code, last_call_at, last_message, passed, sub_code)
SELECT transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at,
       first_seen_at, first_run, deleted_from, verified_at IS NOT NULL, state, next_due_at, attempts, not_completed_runs,
       failed_runs, last_call_code, last_call_at, last_message, passed, sub_code
FROM transactions
ORDER BY first_run, transaction_id;

-- Final replies that are durable here and not yet in the archive, in the order in which they came.
CREATE TABLE replies (
    entry          INTEGER PRIMARY KEY,
    number         INTEGER NOT NULL REFERENCES numbered (number),
    -- verified_at, with the unknown ones at the very end, so that a billing day and they are a range alike.
    verified_order INTEGER NOT NULL,
    run_number     INTEGER NOT NULL REFERENCES runs (run_number),
    fetched_at     INTEGER NOT NULL,
    body           BLOB    NOT NULL
) STRICT;

INSERT INTO replies (number, verified_order, run_number, fetched_at, body)
SELECT numbered.number, coalesce(numbered.verified_at, 9223372036854775807), runs.run_number, journal.fetched_at, journal.body
FROM journal
JOIN numbered USING (transaction_id)
JOIN runs USING (run_id)
ORDER BY runs.run_number, journal.fetched_at;

DROP TABLE journal;
DROP TABLE transactions;
ALTER TABLE numbered RENAME TO transactions;
ALTER TABLE replies RENAME TO journal;

CREATE UNIQUE INDEX transactions_id ON transactions (transaction_id);
-- The plan reads a product's pending rows in order of urgency without sorting. What else counts and forecasts ask of a
-- pending row stands in it, too, so that they need not look at the rows.
CREATE INDEX transactions_pending
    ON transactions (product_code, deleted_from, number, next_due_at, last_call_code, age_known)
    WHERE state = 'pending';
-- The reports find the few that a person must look at among the many that are done.
CREATE INDEX transactions_attention ON transactions (state, deleted_from)
    WHERE state = 'quarantined' OR state = 'lost' OR state = 'abandoned';
-- Publication reads a billing day in order of verified_at without sorting.
CREATE UNIQUE INDEX journal_order ON journal (verified_order, number);
