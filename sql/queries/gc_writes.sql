-- Ledger rows of events below $2 that were let go with a retention of $1 ms;
-- a source's newest row is its watermark and stays.
DELETE FROM philotes.cdc_writes w
USING philotes.removable($1 * interval '1 ms') r
WHERE w.source_id = r.source_id AND w.last_id <= r.up_to AND w.last_id < $2
  AND w.write_no < (SELECT max(n.write_no) FROM philotes.cdc_writes n
                    WHERE n.source_id = w.source_id)
