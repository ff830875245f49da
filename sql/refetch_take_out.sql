-- Takes a published file out of the manifest.
DELETE FROM files WHERE path = :path AND state = 'published'
