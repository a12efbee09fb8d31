-- The commit puts the WAL on the source's disk, and waits for no standby.  Nobody
-- sees the message (see heartbeat.sql).
SELECT pg_catalog.set_config('synchronous_commit', 'local', true),
       pg_catalog.pg_logical_emit_message(true, 'philotes.heartbeat', '')
