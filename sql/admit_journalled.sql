-- A journalled reply whose transaction has got a time goes to that time's billing day.
UPDATE journal
SET verified_order = :verified_at
WHERE verified_order = 9223372036854775807 AND number = :number
