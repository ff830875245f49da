-- The last entry of the journal.
SELECT coalesce(max(entry), 0) FROM journal
