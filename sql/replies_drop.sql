-- Lets go of a large reply that is not there any more, by where it began.
DELETE FROM journal INDEXED BY journal_large WHERE reply_start = ?1
