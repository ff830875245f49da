-- Takes the intents of compactions that were cut off back.
UPDATE files SET replaced_by = NULL WHERE replaced_by IS NOT NULL
