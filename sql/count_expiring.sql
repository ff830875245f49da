-- Unfetched records of known age whose 30 days end after :now and by :until. What the customer had not finished when it
-- was last asked for is nothing to lose, if that was in the last day and a half before its deadline. The index begins with the product: each is stepped to, and only those days are
-- read of it.
WITH RECURSIVE products (product_code) AS (
    SELECT min(product_code) FROM transactions INDEXED BY transactions_pending WHERE state = 'pending'
    UNION ALL
    SELECT (SELECT min(product_code) FROM transactions INDEXED BY transactions_pending
            WHERE state = 'pending' AND product_code > products.product_code)
    FROM products
    WHERE product_code IS NOT NULL
)
SELECT (SELECT count(*)
        FROM products
        CROSS JOIN transactions INDEXED BY transactions_pending USING (product_code)
        WHERE state = 'pending' AND age_known AND deleted_from > :now AND deleted_from <= :until
          AND (coalesce(last_call_code, '') <> 'ProcessNotCompleted' OR last_call_at < deleted_from - 129600000000))
     + (SELECT count(*)
        FROM transactions INDEXED BY transactions_attention
        WHERE state = 'quarantined' AND age_known AND deleted_from > :now AND deleted_from <= :until
          AND coalesce(last_call_code, '') <> 'ProcessNotCompleted')
