-- Whether any reply is journalled.
SELECT EXISTS (SELECT 1 FROM journal)
