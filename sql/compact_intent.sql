-- Writes down that a staged file is to be in the place of a published one.
UPDATE files SET replaced_by = :path WHERE path = :replaced AND state = 'published' AND replaced_by IS NULL
