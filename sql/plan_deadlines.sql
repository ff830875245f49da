-- The pending rows of every product in the order in which they are asked for, for the forecast: product, deadline (an
-- unknown age is reckoned from when it was first seen), whether the age is known, and region. What the customer had not finished
-- counts only :with_not_completed, and in the last day and a half before its deadline.
SELECT product_code, deleted_from + iif(age_known, 0, 2592000000000), age_known, region
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND next_due_at <= :due_by AND (:with_not_completed OR coalesce(last_call_code, '') <> 'ProcessNotCompleted'
       OR deleted_from + iif(age_known, 0, 2592000000000) <= :due_by + 129600000000)
ORDER BY product_code, deleted_from, number
