-- Whether the reply to an id is journalled and not archived yet.
SELECT EXISTS (
    SELECT 1 FROM journal
    WHERE verified_order = coalesce(:verified_at, 9223372036854775807) AND number = :number)
