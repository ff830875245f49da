UPDATE runs SET ended_at = :ended_at, exit_code = :exit_code WHERE run_number = :run_number
