-- The open dead letters of consumer $1 per source, in the columns of
-- pending.sql; $2 and $3 as there.
SELECT source_id, 0, 0, 0, max(id), count(*), 0, false, NULL
FROM philotes.cdc_dead_letters
WHERE consumer = $1 AND closed_at IS NULL
  AND ($2::text[] IS NULL OR source_id = ANY ($2::text[]))
  AND ($3::text IS NULL OR source_id = $3)
GROUP BY source_id ORDER BY source_id
