-- What a final reply says of its transaction stands beside it in the journal, so that the transaction's own row, which is
-- anywhere in a large ledger, can follow later together with many others. Before the body: what is behind one of many pages
-- is found only by way of all of them.
CREATE TABLE replies (
    entry          INTEGER PRIMARY KEY,
    number         INTEGER NOT NULL REFERENCES transactions (number),
    -- verified_at, with the unknown ones at the very end, so that a billing day and they are a range alike.
    verified_order INTEGER NOT NULL,
    run_number     INTEGER NOT NULL REFERENCES runs (run_number),
    fetched_at     INTEGER NOT NULL,
    -- Null in what earlier versions kept: there the transaction's row knows it all.
    attempts       INTEGER,
    call_code      TEXT,
    passed         INTEGER,
    sub_code       TEXT,
    body           BLOB    NOT NULL,
    CHECK ((passed IS NULL) = (sub_code IS NULL) AND (passed IS NULL) = (attempts IS NULL))
) STRICT;

INSERT INTO replies (entry, number, verified_order, run_number, fetched_at, body)
SELECT entry, number, verified_order, run_number, fetched_at, body
FROM journal
ORDER BY entry;

DROP TABLE journal;
ALTER TABLE replies RENAME TO journal;

-- Publication reads a billing day in order of verified_at without sorting.
CREATE UNIQUE INDEX journal_order ON journal (verified_order, number);
