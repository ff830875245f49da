-- As check_pages.sql, and holds the indices to the tables.
PRAGMA integrity_check(1);
