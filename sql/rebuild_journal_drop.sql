-- Drops the journalled reply of an id that the archive has.
DELETE FROM journal
WHERE entry IN (
    SELECT reply.entry
    FROM transactions AS t
    CROSS JOIN journal AS reply INDEXED BY journal_order
        ON reply.verified_order = coalesce(t.verified_at, 9223372036854775807) AND reply.number = t.number
    WHERE t.transaction_id = :transaction_id)
