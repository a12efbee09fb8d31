-- Waits for all transactions that are open when it starts.
SELECT lsn FROM pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')
