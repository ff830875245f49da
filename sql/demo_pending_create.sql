-- The table that idvault reads of a SQLite source, as `idvault demo` makes one.
CREATE TABLE pending (
    transaction_id TEXT NOT NULL PRIMARY KEY,
    product_code   TEXT NOT NULL,
    region         TEXT NOT NULL,
    verified_at    TEXT NOT NULL
) STRICT;
