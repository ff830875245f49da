-- The last reply of each transaction whose verdict is none that is known. A person must see it, and the vendor deletes it on day 30.
-- It goes once the transaction has a verdict.
CREATE TABLE unknown_verdicts (
    number    INTEGER PRIMARY KEY REFERENCES transactions (number),
    called_at INTEGER NOT NULL,
    passed    TEXT,                                 -- what stands in the verdict's place, as JSON; null: nothing
    body      BLOB    NOT NULL                      -- the reply as it came
) STRICT;
