-- The schema lines of the source $1, in the order in which they went into effect:
-- table, OID of the table, and name of the line.
SELECT schema_name, table_name, definition->>'relid', schema
FROM philotes.cdc_schemas WHERE source_id = $1
ORDER BY from_id
