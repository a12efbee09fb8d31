-- The dead letters $3 of consumer $1 and source $2 failed again; $4 to $6 are
-- their statuses, attempts and messages.
UPDATE philotes.cdc_dead_letters d
SET status = f.status, attempts = d.attempts + f.attempts,
    stderr = nullif(f.stderr, ''), parked_at = clock_timestamp()
FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::text[])
    f (id, status, attempts, stderr)
WHERE d.consumer = $1 AND d.source_id = $2 AND d.id = f.id
