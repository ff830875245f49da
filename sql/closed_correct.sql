INSERT INTO closed_corrections (month, number, closed_at, sha256, record)
VALUES (:month, :number, :closed_at, :sha256, :record)
