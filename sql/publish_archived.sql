-- Marks the rows of a billing day whose files are published. What is done is kept small.
UPDATE transactions
SET state = 'archived', last_message = NULL
WHERE state = 'journalled' AND verified_order BETWEEN :first AND :last
