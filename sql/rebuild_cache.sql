-- KiB of page cache while a ledger is filled from the archive, in the place of that of pragmas.sql: the index of the ids is filled by chance.
PRAGMA main.cache_size = -65536
