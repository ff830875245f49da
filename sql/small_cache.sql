-- KiB of page cache (negative = KiB) of who wants few pages twice: the journal is read once and nearly in its order, while encoding
-- needs the memory, and of the plan little is kept, as each commit of the writer's drops it.
PRAGMA cache_size = -2048;
