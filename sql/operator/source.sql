-- The slot :slot as the source sees it, for philotes status, metrics and check.
-- One row: the database; the position of its WAL; of the slot: null if there is
-- none, "active" or "inactive", wal_status, the two positions, bytes of WAL kept
-- for it, bytes not confirmed, bytes until it is lost (null: no limit); its
-- plugin and database; why it is lost, in the words of version 17, if it is.
-- Names have a ? for what is below a space.
SET statement_timeout = '10s';
SET search_path = pg_catalog, pg_temp;
SELECT regexp_replace(current_database(), '[\x01-\x1f]', '?', 'g'), w.lsn,
       CASE s.active WHEN true THEN 'active' WHEN false THEN 'inactive' END,
       s.wal_status, s.restart_lsn, s.confirmed_flush_lsn,
       greatest(0, pg_wal_lsn_diff(w.lsn, s.restart_lsn)::bigint),
       greatest(0, pg_wal_lsn_diff(w.lsn, s.confirmed_flush_lsn)::bigint),
       s.safe_wal_size, s.plugin,
       regexp_replace(s.database, '[\x01-\x1f]', '?', 'g'),
       coalesce(to_jsonb(s) ->> 'invalidation_reason',
           CASE WHEN to_jsonb(s) ->> 'conflicting' = 'true'
                    AND s.restart_lsn IS NOT NULL THEN 'conflict'
                WHEN s.wal_status = 'lost' THEN 'wal_removed' END)
FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
             ELSE pg_current_wal_flush_lsn() END AS lsn) w
LEFT JOIN pg_replication_slots s ON s.slot_name = :'slot';
