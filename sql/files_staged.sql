-- Files whose publication a crash cut off.
SELECT path FROM files WHERE state = 'staged' ORDER BY path
