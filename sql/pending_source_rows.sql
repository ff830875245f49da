SELECT * FROM pending
