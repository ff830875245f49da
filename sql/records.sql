-- KiB of page cache, in the place of that of pragmas.sql: the index of the ids of some million records, as each is looked up.
PRAGMA main.cache_size = -65536;
-- The vendor's records that are looked at again: those that the ledger does not know, or knows otherwise.
CREATE TEMP TABLE records (
    entry           INTEGER PRIMARY KEY,
    transaction_id  TEXT    NOT NULL UNIQUE,
    merchant_biz_id TEXT,
    product_code    TEXT,
    region          TEXT,
    verified_at     INTEGER NOT NULL,
    passed          INTEGER,
    sub_code        TEXT,
    is_new          INTEGER NOT NULL            -- 1: no source named it
) STRICT;
