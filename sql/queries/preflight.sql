-- Follows WITH asked (slot, publication).  Returns one row: the server, the
-- slot if it exists, the reason if it is lost, and the publication if it
-- exists.  Columns of newer versions are read from the row as JSON.  Version 16
-- sets "conflicting" for any reason, but its restart_lsn is null if WAL was
-- removed.
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
