-- Drops the tallies of the files that were replaced.
DELETE FROM tallies WHERE path IN (SELECT path FROM files WHERE replaced_by = :path)
