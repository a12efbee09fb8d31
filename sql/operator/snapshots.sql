-- For philotes snapshot: the snapshot :id, or all if that is empty; a row a
-- table, and one that says that the snapshot is done, whose table is empty.
-- Control characters in names are replaced by a ?.
SET statement_timeout = '10s';
SET search_path = pg_catalog, pg_temp;
SET jit = off;
\ir schema.sql

SELECT regexp_replace(id, '[\x01-\x1f]', '?', 'g'),
       regexp_replace(source_id, '[\x01-\x1f]', '?', 'g'),
       CASE WHEN state <> 'done' THEN regexp_replace(
           schema_name || '.' || table_name, '[\x01-\x1f]', '?', 'g') END,
       state, blocks, of, rows,
       to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       seconds, regexp_replace(reason, '[\x01-\x1f]', '?', 'g')
FROM philotes.snapshot_progress()
WHERE :'id' IN ('', id)
ORDER BY source_id,
         min(coalesce(began_at, changed_at)) OVER (PARTITION BY source_id, id),
         id, state = 'done', coalesce(began_at, changed_at), schema_name,
         table_name;
