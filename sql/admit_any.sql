-- The ledger's first row; null where it is empty.
SELECT min(number) FROM transactions
