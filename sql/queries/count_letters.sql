SELECT count(*) FROM philotes.cdc_dead_letters
WHERE consumer = $1 AND closed_at IS NULL
