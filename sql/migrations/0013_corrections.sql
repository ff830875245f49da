-- What came after a month was closed, and was signed off in its turn: corrections, numbered from 1 in each month.
CREATE TABLE closed_corrections (
    month     TEXT    NOT NULL,
    number    INTEGER NOT NULL CHECK (number > 0),
    closed_at INTEGER NOT NULL,
    sha256    TEXT    NOT NULL,
    record    TEXT    NOT NULL,
    PRIMARY KEY (month, number)
) STRICT;
