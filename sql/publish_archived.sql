-- Marks the rows of a billing day whose files are published, up to the last of them: :last_number at :last. What is done is kept
-- small.
UPDATE transactions
SET state = 'archived', last_message = NULL
WHERE state = 'journalled' AND number IN (
    SELECT number
    FROM journal
    WHERE verified_order >= :first AND (verified_order, number) <= (:last, :last_number))
