-- Times are microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE runs (
    run_number  INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      TEXT    NOT NULL UNIQUE,
    -- Who answers: the vendor, or a server on this machine such as the sandbox; null: nobody was asked. All runs of a
    -- ledger have the same, so that made-up answers never get among real ones.
    answered_by TEXT    CHECK (answered_by IN ('vendor', 'loopback')),
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    exit_code   INTEGER
) STRICT;

-- One row for every id that ever came in.
CREATE TABLE transactions (
    transaction_id     TEXT    NOT NULL PRIMARY KEY,
    merchant_biz_id    TEXT,                        -- null: derived from the transaction id
    product_code       TEXT    NOT NULL,
    product_assumed    INTEGER NOT NULL,            -- 1: the row did not say, the default was taken
    region             TEXT    NOT NULL,
    region_assumed     INTEGER NOT NULL,
    verified_at        INTEGER,                     -- null: unknown
    first_seen_at      INTEGER NOT NULL,
    first_run          INTEGER NOT NULL REFERENCES runs (run_number),
    state              TEXT    NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'journalled', 'archived', 'quarantined', 'lost', 'abandoned')),
    next_due_at        INTEGER NOT NULL DEFAULT 0,
    attempts           INTEGER NOT NULL DEFAULT 0,  -- those charged to this id
    not_completed_runs INTEGER NOT NULL DEFAULT 0,
    failed_runs        INTEGER NOT NULL DEFAULT 0,
    last_call_code     TEXT,
    last_call_at       INTEGER,
    last_message       TEXT,
    passed             INTEGER,
    sub_code           TEXT,
    -- The earliest time at which the vendor may delete the result: 30 days after verified_at. Where the age is
    -- unknown that may be any time, so such a row is as urgent as can be.
    deleted_from       INTEGER NOT NULL
        GENERATED ALWAYS AS (coalesce(verified_at + 2592000000000, first_seen_at)) VIRTUAL,
    -- verified_at, with the unknown ones at the very end, so that a billing day and they are a range alike.
    verified_order     INTEGER NOT NULL
        GENERATED ALWAYS AS (coalesce(verified_at, 9223372036854775807)) VIRTUAL,
    -- A verdict is known exactly where the reply was kept.
    CHECK ((state IN ('journalled', 'archived')) = (passed IS NOT NULL)),
    CHECK ((passed IS NULL) = (sub_code IS NULL))
) STRICT, WITHOUT ROWID;

-- The plan reads a product's pending rows in order of urgency without sorting.
CREATE INDEX transactions_pending ON transactions (product_code, deleted_from, transaction_id)
    WHERE state = 'pending';
-- Publication reads a billing day in order of verified_at without sorting.
CREATE INDEX transactions_journalled ON transactions (verified_order, transaction_id)
    WHERE state = 'journalled';
-- The reports find the few that a person must look at among the many that are done.
CREATE INDEX transactions_attention ON transactions (state, deleted_from)
    WHERE state IN ('quarantined', 'lost');

-- Final replies that are durable here and not yet in the archive.
CREATE TABLE journal (
    transaction_id TEXT    NOT NULL PRIMARY KEY REFERENCES transactions (transaction_id),
    run_id         TEXT    NOT NULL REFERENCES runs (run_id),
    fetched_at     INTEGER NOT NULL,
    body           BLOB    NOT NULL
) STRICT;

-- The archive's manifest. 'staged' is an intent: written before the file gets its name, so that after a crash a file
-- of that name is known to be a left-over whose rows are all still journalled.
CREATE TABLE files (
    path         TEXT    NOT NULL PRIMARY KEY,      -- below archive/
    dataset      TEXT    NOT NULL CHECK (dataset IN ('verifications', 'face_images')),
    billing_day  TEXT,                              -- YYYY-MM-DD, null: unknown
    rows         INTEGER NOT NULL CHECK (rows > 0),
    bytes        INTEGER NOT NULL,
    sha256       TEXT    NOT NULL,
    run_id       TEXT    NOT NULL REFERENCES runs (run_id),
    state        TEXT    NOT NULL CHECK (state IN ('staged', 'published')),
    published_at INTEGER
) STRICT;
CREATE INDEX files_billing_day ON files (dataset, billing_day);

-- Verifications in a published file of the dataset 'verifications'; they add up to its rows.
CREATE TABLE tallies (
    path          TEXT    NOT NULL REFERENCES files (path),
    product_code  TEXT    NOT NULL,
    region        TEXT    NOT NULL,
    sub_code      TEXT    NOT NULL,
    verifications INTEGER NOT NULL CHECK (verifications > 0),
    PRIMARY KEY (path, product_code, region, sub_code)
) STRICT, WITHOUT ROWID;
