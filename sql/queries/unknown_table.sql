-- The first of the tables named by schemas $1 and names $2 of which the log has
-- no event from the sources $3 (null: all).  Each table is searched for up to
-- its first event; a join might read the whole log.
SELECT u.schema, u.name
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u (schema, name, i)
WHERE (SELECT true FROM philotes.cdc_log
       WHERE schema_name = u.schema AND table_name = u.name
         AND ($3::text[] IS NULL OR source_id = ANY ($3::text[]))
       LIMIT 1) IS NULL
ORDER BY u.i LIMIT 1
