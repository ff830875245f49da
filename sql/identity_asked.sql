-- The account that was asked so far, and where.
SELECT account, endpoints FROM identity
