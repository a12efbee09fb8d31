-- The batch $3 to $4 of consumer $1 and source $2 failed once more, with status
-- $5.  A consumer that was dropped gets no row.
INSERT INTO philotes.cdc_retries AS r
    (consumer, source_id, first_id, last_id, attempts, status)
SELECT $1, $2, $3::bigint, $4::bigint, 1, $5
FROM philotes.cdc_consumers WHERE consumer = $1
ON CONFLICT (consumer, source_id) DO UPDATE
SET first_id = excluded.first_id, last_id = excluded.last_id,
    attempts = CASE WHEN r.first_id = excluded.first_id
                    THEN r.attempts + 1 ELSE 1 END,
    since = CASE WHEN r.first_id = excluded.first_id
                 THEN r.since ELSE excluded.since END,
    status = excluded.status, updated_at = excluded.updated_at
