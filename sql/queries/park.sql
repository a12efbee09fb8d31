-- Parks the events with the ids $8 as dead letters of consumer $1; $9 to $11
-- are their statuses, attempts and messages.  Marks the batch as mark.sql does.
WITH place AS (
	SELECT 1 + coalesce(b.batch_no, 0) AS batch_no
	FROM philotes.cdc_consumers c
	LEFT JOIN LATERAL (
		SELECT last_id, batch_no FROM philotes.cdc_batches
		WHERE consumer = $1 AND source_id = $2
		ORDER BY first_id DESC LIMIT 1) b ON true
	WHERE c.consumer = $1 AND coalesce(b.last_id, 0) = $3::bigint - 1),
failed AS (
	SELECT * FROM unnest($8::bigint[], $9::text[], $10::bigint[], $11::text[])
	    f (id, status, attempts, stderr)),
parked AS (
	INSERT INTO philotes.cdc_dead_letters (consumer, id, source_id,
	    schema_name, table_name, operation, lsn, transaction_id, commit_lsn,
	    seq, key_columns, before_data, after_data, event_time, metadata,
	    created_at, status, attempts, stderr)
	SELECT $1, l.id, l.source_id, l.schema_name, l.table_name, l.operation,
	       l.lsn, l.transaction_id, l.commit_lsn, l.seq, l.key_columns,
	       l.before_data, l.after_data, l.event_time, l.metadata,
	       l.created_at, f.status, f.attempts, nullif(f.stderr, '')
	FROM place CROSS JOIN failed f JOIN philotes.cdc_log l USING (id)
	WHERE l.id = ANY ($8::bigint[]) AND l.source_id = $2),
recovered AS (
	DELETE FROM philotes.cdc_retries WHERE consumer = $1 AND source_id = $2)
INSERT INTO philotes.cdc_batches
    (consumer, source_id, first_id, last_id, events, total, write_no, batch_no)
SELECT $1, $2, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint,
       batch_no
FROM place
