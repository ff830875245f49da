-- Holds the indices of every table but the largest to it: what is wrong, no row where nothing is.
SELECT found.integrity_check
FROM sqlite_schema AS tables, pragma_integrity_check(tables.name) AS found
WHERE tables.type = 'table' AND tables.name <> 'transactions' AND found.integrity_check <> 'ok'
LIMIT 1
