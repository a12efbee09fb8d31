-- The next chunk of them; returns how many, and the last id.
WITH chunk AS (
	SELECT l.id
	FROM philotes.cdc_log l
	JOIN philotes.removable($1 * interval '1 ms') r USING (source_id)
	WHERE l.id >= $2 AND l.id < $3 AND l.id <= r.up_to
	ORDER BY l.id LIMIT 5000),
gone AS (
	DELETE FROM philotes.cdc_log l USING chunk
	WHERE l.id = chunk.id AND l.id >= $2 AND l.id < $3
	RETURNING l.id)
SELECT count(*), max(id) FROM gone
