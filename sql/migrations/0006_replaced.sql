-- Files that a compaction is about to put one file in the place of: the path of that one, which is staged meanwhile. The
-- commit that publishes it forgets them.
ALTER TABLE files ADD COLUMN replaced_by TEXT REFERENCES files (path);
CREATE INDEX files_replaced ON files (replaced_by) WHERE replaced_by IS NOT NULL;
