SELECT pg_catalog.pg_try_advisory_lock(hashtextextended('philotes.gc', 0))
