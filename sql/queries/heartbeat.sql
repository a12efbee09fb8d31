-- The prefix is that of heartbeat_is (lib/reader/heartbeat.c).
SELECT pg_catalog.pg_logical_emit_message(false, 'philotes.heartbeat', '')
