PRAGMA trusted_schema = OFF; -- a view of the source calls no function that does more than reckon
PRAGMA cell_size_check = ON; -- a damaged page is noticed before it is believed
PRAGMA temp_store = MEMORY; -- what a query sorts is bounded by the memory that it may have, and fills no disk
PRAGMA mmap_size = 0; -- a file that another program cuts short is an error, not a signal
