-- Unfetched records of known age whose 30 days end after :now and by :until. What the customer had not finished when it
-- was last asked for is nothing to lose yet.
SELECT (SELECT count(*)
        FROM transactions INDEXED BY transactions_pending
        WHERE state = 'pending' AND age_known AND deleted_from > :now AND deleted_from <= :until
          AND coalesce(last_call_code, '') <> 'ProcessNotCompleted')
     + (SELECT count(*)
        FROM transactions INDEXED BY transactions_attention
        WHERE state = 'quarantined' AND age_known AND deleted_from > :now AND deleted_from <= :until
          AND coalesce(last_call_code, '') <> 'ProcessNotCompleted')
