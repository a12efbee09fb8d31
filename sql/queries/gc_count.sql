-- Events with ids from $2 to below $3 that a retention of $1 ms lets go.
SELECT count(*)
FROM philotes.cdc_log l
JOIN philotes.removable($1 * interval '1 ms') r USING (source_id)
WHERE l.id >= $2 AND l.id < $3 AND l.id <= r.up_to
