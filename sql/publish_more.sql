-- Whether anything is journalled behind :last_number at :last_order in the order of publication.
SELECT EXISTS (SELECT 1 FROM journal WHERE (verified_order, number) > (:last_order, :last_number))
