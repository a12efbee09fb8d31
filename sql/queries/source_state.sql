-- The source $1: whose it is, and its newest row in cdc_writes.
SELECT s.system_id, s.slot, w.checkpoint, w.timeline, w.commit_lsn, w.seq
FROM philotes.newest_write($1) w
LEFT JOIN philotes.cdc_sources s ON s.source_id = w.source_id
WHERE w.write_no IS NOT NULL
