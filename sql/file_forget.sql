-- Takes an intent back whose file is gone.
DELETE FROM files WHERE path = :path AND state = 'staged'
