-- Marks the rows of a billing day whose files are published, up to the last of them: :last_id at :last. What is done is kept
-- small.
UPDATE transactions
SET state = 'archived', last_message = NULL
WHERE state = 'journalled' AND verified_order >= :first AND (verified_order, transaction_id) <= (:last, :last_id)
