-- Threads that help to sort.
PRAGMA threads = 1;
