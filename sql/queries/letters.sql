-- In the columns of pending.sql, the open dead letters of consumer $1.
SELECT source_id, 0, 0, 0, max(id), count(*), 0, false
FROM philotes.cdc_dead_letters
WHERE consumer = $1 AND closed_at IS NULL
  AND ($2::text[] IS NULL OR source_id = ANY ($2::text[]))
  AND ($3::text IS NULL OR source_id = $3)
GROUP BY source_id ORDER BY source_id
