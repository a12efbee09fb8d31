-- The slot :slot on the source, for philotes status and metrics.  One row,
-- which scripts/lib/facts.sh reads by the names of the columns:
--
--   database              the source's name for itself
--   current_lsn           the end of its WAL
--   state                 active, inactive or missing
--   retained_bytes        WAL that the server keeps for the slot
--   unconfirmed_bytes     WAL after confirmed_flush_lsn
--   safe_bytes            WAL until the slot is lost; null: unlimited
--   invalidation_reason   why the slot is lost, as PostgreSQL 17 names it
--
-- Control characters in names are replaced by a ?.
SET statement_timeout = '10s';
SET search_path = pg_catalog, pg_temp;
SELECT 'slot' AS kind,
       regexp_replace(current_database(), '[\x01-\x1f]', '?', 'g') AS database,
       w.lsn AS current_lsn,
       CASE s.active WHEN true THEN 'active' WHEN false THEN 'inactive'
       ELSE 'missing' END AS state,
       s.wal_status, s.restart_lsn, s.confirmed_flush_lsn,
       greatest(0, pg_wal_lsn_diff(w.lsn, s.restart_lsn)::bigint)
       AS retained_bytes,
       greatest(0, pg_wal_lsn_diff(w.lsn, s.confirmed_flush_lsn)::bigint)
       AS unconfirmed_bytes,
       s.safe_wal_size AS safe_bytes,
       coalesce(to_jsonb(s) ->> 'invalidation_reason',
           CASE WHEN to_jsonb(s) ->> 'conflicting' = 'true'
                    AND s.restart_lsn IS NOT NULL THEN 'conflict'
                WHEN s.wal_status = 'lost' THEN 'wal_removed' END)
       AS invalidation_reason
FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
             ELSE pg_current_wal_flush_lsn() END AS lsn) w
LEFT JOIN pg_replication_slots s ON s.slot_name = :'slot';
