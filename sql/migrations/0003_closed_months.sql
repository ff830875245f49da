-- Months that are closed: what was signed off, and never changes again. closed/YYYY-MM.json has the same bytes.
CREATE TABLE closed_months (
    month     TEXT    NOT NULL PRIMARY KEY,         -- YYYY-MM
    closed_at INTEGER NOT NULL,
    sha256    TEXT    NOT NULL,                     -- of the record's bytes
    record    TEXT    NOT NULL
) STRICT;
