-- The earliest journalled row that is to be published: its verified_at, or no row at all.
SELECT nullif(verified_order, 9223372036854775807) FROM journal ORDER BY verified_order LIMIT 1
