-- Takes a closed month as its file has it, unless it is there.
INSERT OR IGNORE INTO closed_months (month, closed_at, sha256, record) VALUES (:month, :closed_at, :sha256, :record)
