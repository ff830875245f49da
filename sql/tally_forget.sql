-- Drops a file's tallies, to be counted again.
DELETE FROM tallies WHERE path = :path
