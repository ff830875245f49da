PRAGMA trusted_schema = OFF; -- a view of the source calls no function that does more than reckon
PRAGMA cell_size_check = ON; -- a damaged page is noticed before it is believed
