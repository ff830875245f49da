-- Neither a final reply nor its publication writes to its row of `transactions` by itself: in the order of the plan and in that of
-- publication these are all over a large ledger. What a reply says of its transaction stands beside it in the journal, before
-- the body, as what is behind one of many pages is found only by way of all of them; the row follows later, with many others.
-- An id is journalled as long as its reply is in the journal, and archived from then on; what goes into the archive beside the
-- reply stands in the journal, too, so that publication reads nothing else.

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
        CHECK (state = 'pending' OR state = 'answered' OR state = 'quarantined' OR state = 'lost' OR state = 'abandoned'),
    next_due_at        INTEGER NOT NULL DEFAULT 0,
    attempts           INTEGER NOT NULL DEFAULT 0,  -- those charged to this id
    not_completed_runs INTEGER NOT NULL DEFAULT 0,
    failed_runs        INTEGER NOT NULL DEFAULT 0,
    last_call_code     TEXT,
    last_call_at       INTEGER,
    last_message       TEXT,
    passed             INTEGER,
    sub_code           TEXT,
    code_in_time       TEXT,                        -- what the last call before the deadline brought
    CHECK (deleted_from = coalesce(verified_at + 2592000000000, first_seen_at)),
    CHECK (age_known = (verified_at IS NOT NULL)),
    -- A verdict is known exactly where the reply was kept.
    CHECK ((state = 'answered') = (passed IS NOT NULL)),
    CHECK ((passed IS NULL) = (sub_code IS NULL))
) STRICT;

INSERT INTO numbered
SELECT number, transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at,
       first_seen_at, first_run, deleted_from, age_known,
       iif(state = 'journalled' OR state = 'archived', 'answered', state), next_due_at, attempts, not_completed_runs,
       failed_runs, last_call_code, last_call_at, last_message, passed, sub_code, code_in_time
FROM transactions
ORDER BY number;

-- Final replies that are durable here and not yet in the archive, in the order in which they came, each with what the archive
-- says of its transaction. It names transaction and run without foreign keys: a table that has some is never emptied at once.
CREATE TABLE replies (
    entry           INTEGER PRIMARY KEY,
    number          INTEGER NOT NULL,
    -- verified_at, with the unknown ones at the very end, so that a billing day and they are a range alike.
    verified_order  INTEGER NOT NULL,
    transaction_id  TEXT    NOT NULL,
    merchant_biz_id TEXT,
    product_code    TEXT    NOT NULL,
    region          TEXT    NOT NULL,
    run_number      INTEGER NOT NULL,
    fetched_at      INTEGER NOT NULL,
    -- What the transaction's own row takes over later.
    attempts        INTEGER NOT NULL,
    call_code       TEXT    NOT NULL,
    passed          INTEGER NOT NULL,
    sub_code        TEXT    NOT NULL,
    body            BLOB    NOT NULL
) STRICT;

-- The transaction's row knows it all, and takes nothing over again.
INSERT INTO replies
SELECT entry, number, verified_order, transaction_id, merchant_biz_id, product_code, region, run_number, fetched_at,
       0, 'Success', passed, sub_code, body
FROM journal
JOIN transactions USING (number)
ORDER BY entry;

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
-- Publication reads the journal in order of verified_at without sorting.
CREATE UNIQUE INDEX journal_order ON journal (verified_order, number);

-- Where each id stands. A reply counts before its transaction's row has followed it.
CREATE VIEW standing AS
SELECT number, transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, last_call_at, passed, sub_code,
       CASE
           WHEN (state = 'answered' OR state = 'pending') AND EXISTS (
               SELECT 1 FROM journal
               WHERE journal.verified_order = coalesce(transactions.verified_at, 9223372036854775807)
                 AND journal.number = transactions.number) THEN 'journalled'
           WHEN state = 'answered' THEN 'archived'
           ELSE state
       END AS state
FROM transactions;
