-- What the reports' index holds, in its order: the words stand as in the index, else it would be read word by word and sorted.
SELECT state, deleted_from, number, 0, NULL, 0
FROM transactions INDEXED BY transactions_attention
WHERE state = 'quarantined' OR state = 'lost' OR state = 'abandoned'
