-- Takes the files that were replaced out of the manifest.
DELETE FROM files WHERE replaced_by = :path
