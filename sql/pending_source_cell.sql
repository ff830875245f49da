CASE WHEN octet_length({cell}) <= {limit} THEN {cell} END, octet_length({cell}) -- a longer cell never gets into memory
