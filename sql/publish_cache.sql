-- KiB of page cache (negative = KiB) while the journal is read: once and nearly in its order, so that few pages are wanted twice.
-- Encoding needs the memory meanwhile.
PRAGMA cache_size = -2048;
