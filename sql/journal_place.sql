-- The place of a pending transaction's reply in the order of publication; no row where it has none to come.
SELECT coalesce(verified_at, 9223372036854775807) FROM transactions WHERE number = ?1 AND state = 'pending'
