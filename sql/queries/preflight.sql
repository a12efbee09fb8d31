-- Goes behind WITH asked (slot, publication).  One row: the server, the slot if
-- it exists, and why it is lost if it is, the publication if it exists.  Columns
-- that newer versions have are taken from the row as JSON; 16 says "conflicting"
-- whatever the reason, but of a slot whose WAL is gone it forgets the place.
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('wal_level'),
       s.plugin,
       s.database = pg_catalog.current_database(),
       coalesce(pg_catalog.to_jsonb(s) ->> 'invalidation_reason',
           CASE WHEN pg_catalog.to_jsonb(s) ->> 'conflicting' = 'true'
                    AND s.restart_lsn IS NOT NULL THEN 'conflict'
                WHEN s.wal_status = 'lost' THEN 'wal_removed' END),
       s.confirmed_flush_lsn,
       s.active_pid,
       p.pubname,
       s.slot_name
FROM asked a
LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = a.slot
LEFT JOIN pg_catalog.pg_publication p ON p.pubname = a.publication
