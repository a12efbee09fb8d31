-- consumer, source, first_id, last_id, events, total, write_no
INSERT INTO philotes.cdc_batches
    (consumer, source_id, first_id, last_id, events, total, write_no)
VALUES ($1, $2, $3, $4, $5, $6, $7)
