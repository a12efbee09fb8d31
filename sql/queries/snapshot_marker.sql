-- A request or a marker of a snapshot: lib/reader/snapshot_state.h.
SELECT pg_catalog.pg_logical_emit_message(true, 'philotes.snapshot', $1)
