-- The first of the sources $1 that the buffer does not know.
SELECT u.name FROM unnest($1::text[]) WITH ORDINALITY u (name, i)
WHERE NOT EXISTS (SELECT FROM philotes.cdc_sources WHERE source_id = u.name)
ORDER BY u.i LIMIT 1
