-- Takes the intents of publications that were cut off back.
DELETE FROM files WHERE state = 'staged'
