-- consumer, source, first_id, last_id, events, total, write_no; nothing if the
-- consumer was dropped
INSERT INTO philotes.cdc_batches
    (consumer, source_id, first_id, last_id, events, total, write_no, batch_no)
SELECT $1, $2, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint,
       1 + coalesce((SELECT b.batch_no FROM philotes.cdc_batches b
                     WHERE b.consumer = $1 AND b.source_id = $2
                     ORDER BY b.first_id DESC LIMIT 1), 0)
FROM philotes.cdc_consumers WHERE consumer = $1
