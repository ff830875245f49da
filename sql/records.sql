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
