INSERT INTO closed_months (month, closed_at, sha256, record) VALUES (:month, :closed_at, :sha256, :record)
