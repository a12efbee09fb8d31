-- The source $1: its cluster and slot, its newest row in cdc_writes, and the
-- LSN up to which its events are stored.
SELECT s.system_id, s.slot, w.checkpoint, w.timeline, w.commit_lsn, w.seq,
       (philotes.stored_to($1)).commit_lsn
FROM philotes.newest_write($1) w
LEFT JOIN philotes.cdc_sources s ON s.source_id = w.source_id
WHERE w.write_no IS NOT NULL
