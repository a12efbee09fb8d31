-- The schema line in force for the event `id` of a table; null: there is none.
CREATE OR REPLACE FUNCTION philotes.schema_of(source_id text, schema_name text,
    table_name text, id bigint) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT s.definition FROM philotes.cdc_schemas s
	WHERE s.source_id = $1 AND s.schema_name = $2 AND s.table_name = $3
	  AND s.from_id <= $4
	ORDER BY s.from_id DESC LIMIT 1
$$;
