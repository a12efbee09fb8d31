-- Is the WAL up to $1 on the source's disk?
SELECT pg_catalog.pg_current_wal_flush_lsn() >= $1::pg_lsn
