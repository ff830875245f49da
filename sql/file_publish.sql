-- Takes a staged file into the manifest.
UPDATE files SET state = 'published', published_at = :published_at WHERE path = :path AND state = 'staged'
