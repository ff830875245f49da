-- The transaction's verdict is open again, and no longer one that is none.
DELETE FROM unknown_verdicts WHERE number = :number
