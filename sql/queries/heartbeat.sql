-- heartbeat_is (lib/heartbeat.h) knows the prefix.
SELECT pg_catalog.pg_logical_emit_message(false, 'philotes.heartbeat', '')
