-- The account that is asked, and where.
UPDATE identity SET account = :account, endpoints = :endpoints
