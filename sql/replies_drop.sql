-- Lets go of a large reply that is not there any more.
DELETE FROM journal WHERE number = ?1 AND reply_start IS NOT NULL
