-- Whether the publication $1 and the slot $2 exist; whether the slot is a
-- pgoutput slot of this database; whether it is created completely; and the
-- wal_level.
SELECT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $1),
       s.slot_name IS NOT NULL,
       s.plugin = 'pgoutput' AND s.database = pg_catalog.current_database(),
       s.confirmed_flush_lsn IS NOT NULL,
       pg_catalog.current_setting('wal_level')
FROM (VALUES (1)) one
LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $2
