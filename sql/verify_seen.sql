-- Ids that the archive holds, while it is verified: the file of its verification, and that of its faces.
CREATE TEMP TABLE seen (
    transaction_id    TEXT    NOT NULL PRIMARY KEY,
    file              INTEGER NOT NULL,
    face_image_sha256 TEXT,
    face_file         INTEGER
) STRICT, WITHOUT ROWID;
