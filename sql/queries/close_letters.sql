-- The dead letters of consumer $1 and source $2 from id $3 to $4 were
-- processed.
UPDATE philotes.cdc_dead_letters SET closed_at = clock_timestamp()
WHERE consumer = $1 AND source_id = $2 AND id BETWEEN $3 AND $4
  AND closed_at IS NULL
