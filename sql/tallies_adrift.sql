-- Published files of verifications whose tallies do not add up to their rows.
SELECT f.path, f.rows, coalesce(sum(t.verifications), 0) AS tallied
FROM files AS f
LEFT JOIN tallies AS t ON t.path = f.path
WHERE f.state = 'published' AND f.dataset = 'verifications'
GROUP BY f.path
HAVING tallied <> f.rows
ORDER BY f.path
