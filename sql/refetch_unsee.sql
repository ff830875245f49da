-- Forgets what a file holds that is taken out of the archive.
DELETE FROM temp.seen WHERE file = :file
