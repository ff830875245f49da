-- Takes a file out of the manifest.
DELETE FROM files WHERE path = :path
