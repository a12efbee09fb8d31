-- As create_slot.sql, and then asks for a snapshot by the message $2.
SELECT s.lsn, pg_catalog.pg_logical_emit_message(true, 'philotes.snapshot', $2)
FROM pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput') s
