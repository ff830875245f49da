-- What the journal's entries after :after say of rows that have not taken it over: of :most at most.
SELECT reply.number, reply.attempts, reply.call_code, reply.fetched_at, reply.passed, reply.sub_code, reply.entry
FROM journal AS reply
CROSS JOIN transactions USING (number)
WHERE reply.entry > :after AND transactions.state = 'pending'
ORDER BY reply.entry
LIMIT :most
