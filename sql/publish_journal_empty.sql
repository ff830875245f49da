-- Drops all journalled replies at once: SQLite lets go of their pages without writing each.
DELETE FROM journal
