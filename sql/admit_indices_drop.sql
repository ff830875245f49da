-- Before an empty ledger is filled: an index that is made at the end, by sorting, costs a tenth of one that is kept up while
-- ids come in by chance. It is all one transaction.
DROP INDEX transactions_attention;
DROP INDEX transactions_id;
DROP INDEX transactions_pending;
