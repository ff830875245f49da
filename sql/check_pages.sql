-- `ok`, or the first thing that is wrong with the file's pages. Reads all of them.
PRAGMA quick_check(1);
