-- The OIDs of $1 that no longer belong to a relation, and an LSN: the WAL
-- beyond it has no changes of these.
SELECT o.oid, CASE WHEN pg_catalog.pg_is_in_recovery()
              THEN pg_catalog.pg_last_wal_replay_lsn()
              ELSE pg_catalog.pg_current_wal_insert_lsn() END
FROM pg_catalog.unnest($1::oid[]) o (oid)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = o.oid)
