-- The encoding of the database, the free and all replication slots, the free
-- and all walsenders, and the WAL that slot $1 holds back and may still hold
-- back.
SELECT pg_catalog.pg_encoding_to_char(d.encoding),
       pg_catalog.current_setting('max_replication_slots')::int
       - (SELECT count(*) FROM pg_catalog.pg_replication_slots),
       pg_catalog.current_setting('max_replication_slots'),
       pg_catalog.current_setting('max_wal_senders')::int
       - (SELECT count(*) FROM pg_catalog.pg_stat_get_wal_senders()),
       pg_catalog.current_setting('max_wal_senders'),
       s.wal_status,
       pg_catalog.pg_size_pretty(pg_catalog.pg_wal_lsn_diff(
           CASE WHEN pg_catalog.pg_is_in_recovery()
           THEN pg_catalog.pg_last_wal_replay_lsn()
           ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)),
       pg_catalog.pg_size_pretty(s.safe_wal_size)
FROM pg_catalog.pg_database d
LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1
WHERE d.datname = pg_catalog.current_database()
