-- What the index of the ids holds, in its order.
SELECT transaction_id, number, 0, 0, NULL, 0
FROM transactions INDEXED BY transactions_id
