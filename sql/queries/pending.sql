-- The sources that have events waiting for consumer $1, as struct cursor has
-- them: with the age of the first waiting event in milliseconds, whether the
-- next batch has failed before, and the bytes of the waiting events, if these
-- are less than $5.  Of a write whose events do not all wait, the bytes count
-- in proportion.  $2 (an array) and $3 (one) restrict the sources, unless null.
-- $4: a consumer that is not registered begins after the newest event.
SELECT s.source_id, coalesce(b.last_id, 0), coalesce(b.total, 0),
       coalesce(b.write_no, 0), w.last_id, w.total,
       greatest(0, extract(epoch FROM clock_timestamp() - f.written_at)
                   * 1000)::bigint,
       EXISTS (SELECT FROM philotes.cdc_retries r
               WHERE r.consumer = $1 AND r.source_id = s.source_id),
       CASE WHEN w.total - coalesce(b.total, 0) < $5::bigint THEN (
	SELECT sum(n.bytes::float8 / n.events
	           * least(n.events, n.total - coalesce(b.total, 0)))::bigint
	FROM philotes.cdc_writes n
	WHERE n.source_id = s.source_id AND n.events > 0
	  AND n.write_no >= coalesce(b.write_no, 0)
	  AND n.last_id > coalesce(b.last_id, 0)) END
FROM philotes.cdc_sources s
CROSS JOIN LATERAL (
	SELECT last_id, total FROM philotes.cdc_writes
	WHERE source_id = s.source_id ORDER BY write_no DESC LIMIT 1) w
LEFT JOIN LATERAL (
	SELECT last_id, total, write_no FROM philotes.cdc_batches
	WHERE consumer = $1 AND source_id = s.source_id
	ORDER BY first_id DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
	SELECT written_at FROM philotes.cdc_writes
	WHERE source_id = s.source_id AND write_no >= coalesce(b.write_no, 0)
	  AND last_id > coalesce(b.last_id, 0) AND events > 0
	ORDER BY write_no LIMIT 1) f ON true
WHERE w.last_id > coalesce(b.last_id, 0)
  AND ($2::text[] IS NULL OR s.source_id = ANY ($2::text[]))
  AND ($3::text IS NULL OR s.source_id = $3)
  AND (NOT $4::boolean OR EXISTS (SELECT FROM philotes.cdc_consumers
                                  WHERE consumer = $1))
ORDER BY s.source_id
