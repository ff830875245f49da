-- Each product is asked for in each region by a queue of its own, so the plan's index tells the region, too.
DROP INDEX transactions_pending;
CREATE INDEX transactions_pending
    ON transactions (product_code, deleted_from, number, next_due_at, last_call_code, age_known, region)
    WHERE state = 'pending';

-- The last run that counted in failed_runs: an id that fails in several passes of a run counts once.
ALTER TABLE transactions ADD COLUMN failed_in_run INTEGER;
