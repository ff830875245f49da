-- Rows that refer to one that is not there: their table, and the other.
PRAGMA foreign_key_check
