-- consumer, source, first_id, last_id, events, total, write_no; nothing if the
-- consumer was dropped
INSERT INTO philotes.cdc_batches
    (consumer, source_id, first_id, last_id, events, total, write_no)
SELECT $1, $2, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint
FROM philotes.cdc_consumers WHERE consumer = $1
