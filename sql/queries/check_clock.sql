-- The clock of the buffer's server, and by how many seconds the last commit of
-- any source is later; null if it is not, or by less than one.
SELECT to_char(c.now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       CASE WHEN c.ahead >= 1 THEN round(c.ahead) END
FROM (SELECT n.now, max(extract(epoch FROM w.written_at - n.now)) AS ahead
      FROM (SELECT clock_timestamp() AS now) n
      LEFT JOIN philotes.cdc_sources s ON true
      LEFT JOIN LATERAL (
	SELECT written_at FROM philotes.cdc_writes
	WHERE source_id = s.source_id ORDER BY write_no DESC LIMIT 1) w ON true
      GROUP BY n.now) c
