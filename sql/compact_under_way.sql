-- Files that are to be in the place of others, and those.
SELECT replaced_by, path FROM files WHERE replaced_by IS NOT NULL ORDER BY replaced_by, path
