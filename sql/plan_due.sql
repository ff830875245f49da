-- A page of a product's due rows, in one region or in all, earliest possible deletion first, after the row (:after_deleted_from, :after_number).
-- The two halves are the rest of the rows of that time, and all later ones: of `(deleted_from, number) > (..)` SQLite looks only
-- the first column up, and would walk all rows of one time for each of their pages.
-- :until bounds the walk: an overdue row's deleted_from is past, whichever its age.
-- :overdue = 0: those that the vendor should still have; 1: those past their deadline, asked last, because time spent
-- on them could cost one that can still be saved.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at,
       not_completed_runs, failed_runs - coalesce(failed_in_run = :run_number, 0), number, deleted_from
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending'
  AND product_code = :product_code
  AND (:region IS NULL OR region = :region)
  AND deleted_from = :after_deleted_from AND number > :after_number
  AND next_due_at <= :now
  AND (deleted_from + iif(age_known, 0, 2592000000000) <= :now) = :overdue
UNION ALL
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at,
       not_completed_runs, failed_runs - coalesce(failed_in_run = :run_number, 0), number, deleted_from
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending'
  AND product_code = :product_code
  AND (:region IS NULL OR region = :region)
  AND deleted_from > :after_deleted_from AND deleted_from <= :until
  AND next_due_at <= :now
  AND (deleted_from + iif(age_known, 0, 2592000000000) <= :now) = :overdue
ORDER BY deleted_from, number
LIMIT :page_size
