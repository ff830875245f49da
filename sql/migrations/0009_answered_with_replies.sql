-- A final reply and the row of its transaction are written in one commit. Rows that an older version had not updated yet take
-- over what their replies say.
UPDATE transactions
SET state = 'answered',
    attempts = transactions.attempts + journal.attempts,
    next_due_at = 0,
    last_call_code = journal.call_code,
    last_call_at = journal.fetched_at,
    last_message = NULL,
    code_in_time = NULL,
    passed = journal.passed,
    sub_code = journal.sub_code
FROM journal
WHERE journal.number = transactions.number AND transactions.state = 'pending';

DROP VIEW standing;
ALTER TABLE journal DROP COLUMN attempts;
ALTER TABLE journal DROP COLUMN call_code;

-- The state of each id: an answered one is journalled while its reply is in the journal, and archived from then on.
CREATE VIEW transaction_states AS
SELECT number, transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, last_call_at, passed, sub_code,
       CASE
           WHEN state = 'answered' AND EXISTS (
               SELECT 1 FROM journal
               WHERE journal.verified_order = coalesce(transactions.verified_at, 9223372036854775807)
                 AND journal.number = transactions.number) THEN 'journalled'
           WHEN state = 'answered' THEN 'archived'
           ELSE state
       END AS state
FROM transactions;
