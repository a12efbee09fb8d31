-- The same for the rows of cdc_batches, the newest being the cursor.
DELETE FROM philotes.cdc_batches b
USING philotes.removable($1 * interval '1 ms') r
WHERE b.source_id = r.source_id AND b.last_id <= r.up_to AND b.last_id < $2
  AND b.first_id < (SELECT max(n.first_id) FROM philotes.cdc_batches n
                    WHERE n.source_id = b.source_id
                      AND n.consumer = b.consumer)
