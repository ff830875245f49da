-- Quarantined records whose 30 days are over: no person helped them in time, and the vendor has deleted them.
UPDATE transactions INDEXED BY transactions_attention
SET state = 'lost'
WHERE state = 'quarantined' AND coalesce(verified_at, first_seen_at) + 2592000000000 <= :now
