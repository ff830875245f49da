-- Takes a correction of a closed month as its file has it, unless it is there.
INSERT OR IGNORE INTO closed_corrections (month, number, closed_at, sha256, record)
VALUES (:month, :number, :closed_at, :sha256, :record)
