DELETE FROM philotes.cdc_retries WHERE consumer = $1 AND source_id = $2
