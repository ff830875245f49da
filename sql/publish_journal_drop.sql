-- Drops the journalled replies of a billing day whose files are published, up to the last of them: :last_number at :last.
DELETE FROM journal
WHERE verified_order >= :first AND (verified_order, number) <= (:last, :last_number)
