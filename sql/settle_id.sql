-- The id of a number, for a message.
SELECT transaction_id FROM transactions WHERE number = :number
