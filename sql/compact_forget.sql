-- Takes the intent back.
UPDATE files SET replaced_by = NULL WHERE replaced_by = :path
