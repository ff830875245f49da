-- Before an empty ledger is filled: an index that is made at the end, by sorting, costs a tenth of one that is kept up while
-- ids come in by chance. It is all one transaction. transactions_attention stays: no new row is in it, and to make it again
-- would be to read them all.
DROP INDEX transactions_id;
DROP INDEX transactions_pending;
