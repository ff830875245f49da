-- Why a record is lost or endangered: what the last call before its deadline brought, which the vendor's word for what it
-- has deleted must not replace, and the runs that ended while a product was not answered about.
ALTER TABLE transactions ADD COLUMN code_in_time TEXT;

-- Of earlier runs as far as they tell.
UPDATE transactions
SET code_in_time = CASE
    WHEN last_call_at < coalesce(verified_at, first_seen_at) + 2592000000000 THEN last_call_code
    WHEN not_completed_runs > 0 THEN 'ProcessNotCompleted'
    WHEN state = 'lost' AND attempts > 1 THEN 'unanswered'
    END
WHERE state = 'pending' OR state = 'quarantined' OR state = 'lost';

CREATE TABLE outages (
    product_code TEXT    NOT NULL,
    run_number   INTEGER NOT NULL REFERENCES runs (run_number),
    PRIMARY KEY (product_code, run_number)
) STRICT, WITHOUT ROWID;
