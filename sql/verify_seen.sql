-- Ids that the archive holds, by their number in the ledger: the file of its verification, and that of its faces.
CREATE TEMP TABLE seen (
    number            INTEGER PRIMARY KEY,
    file              INTEGER NOT NULL,
    face_image_sha256 TEXT,
    face_file         INTEGER
) STRICT;
