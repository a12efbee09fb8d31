-- The schema lines of the source $1 that are or will be in force for its events
-- from id $2 on; only those from an id beyond $3 on.
SELECT schema_name, table_name, from_id, definition
FROM philotes.cdc_schemas s
WHERE source_id = $1 AND from_id > $3::bigint
  AND (from_id > $2::bigint OR from_id = (
	SELECT n.from_id FROM philotes.cdc_schemas n
	WHERE n.source_id = $1 AND n.schema_name = s.schema_name
	  AND n.table_name = s.table_name AND n.from_id <= $2::bigint
	ORDER BY n.from_id DESC LIMIT 1))
ORDER BY from_id
