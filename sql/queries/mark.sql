-- Parameters: consumer, source, first_id, last_id, events, total, write_no.
-- Inserts no row if the consumer was dropped, or if its cursor is no longer
-- where this batch begins.
INSERT INTO philotes.cdc_batches
    (consumer, source_id, first_id, last_id, events, total, write_no, batch_no)
SELECT $1, $2, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint,
       1 + coalesce(b.batch_no, 0)
FROM philotes.cdc_consumers c
LEFT JOIN LATERAL (
	SELECT last_id, batch_no FROM philotes.cdc_batches
	WHERE consumer = $1 AND source_id = $2
	ORDER BY first_id DESC LIMIT 1) b ON true
WHERE c.consumer = $1 AND coalesce(b.last_id, 0) = $3::bigint - 1
