-- The table of event $1, and the schema line in force for it.
SELECT schema_name, table_name,
       philotes.schema_of(source_id, schema_name, table_name, id)
FROM philotes.cdc_log WHERE id = $1
