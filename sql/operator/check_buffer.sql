-- For philotes check: the schema's version; of the source :'source', a name with a
-- ? for what is below a space like the names that are printed, the system,
-- the slot and the checkpoint that are stored, null if there is none; and, per
-- tool, what the role of this session is not allowed to do that the tool does.
-- Of an older schema the version alone.
SET statement_timeout = '10s';
SET search_path = pg_catalog, pg_temp;
\ir schema.sql

SELECT philotes.schema_version() AS version,
       philotes.schema_version() >= 4 AS known \gset
SELECT 'version', :version;
\if :known
\else
	\q
\endif

SELECT 'stored', regexp_replace(s.system_id, '[\x01-\x1f]', '?', 'g'),
       regexp_replace(s.slot, '[\x01-\x1f]', '?', 'g'),
       (philotes.newest_write(s.source_id)).checkpoint
FROM (SELECT) one
LEFT JOIN philotes.cdc_sources s
  ON regexp_replace(s.source_id, '[\x01-\x1f]', '?', 'g') = :'source'
ORDER BY s.source_id = :'source' DESC LIMIT 1;

SELECT 'role', regexp_replace(current_user, '[\x01-\x1f]', '?', 'g'), n.tool,
       string_agg(n.privilege || ' on ' || n.object, ', ')
FROM (SELECT t.tool, t.object, t.privilege,
             CASE WHEN t.object LIKE '%\_seq'
             THEN has_sequence_privilege('philotes.' || t.object, t.privilege)
             ELSE has_table_privilege('philotes.' || t.object, t.privilege)
             END AS given
      FROM (VALUES
		('buffer-write', 'cdc_log', 'INSERT'),
		('buffer-write', 'cdc_log_id_seq', 'USAGE'),
		('buffer-write', 'cdc_writes', 'SELECT'),
		('buffer-write', 'cdc_writes', 'INSERT'),
		('buffer-write', 'cdc_sources', 'INSERT'),
		('buffer-batch', 'cdc_log', 'SELECT'),
		('buffer-batch', 'cdc_writes', 'SELECT'),
		('buffer-batch', 'cdc_batches', 'SELECT'),
		('buffer-batch', 'cdc_batches', 'INSERT'),
		('buffer-batch', 'cdc_consumers', 'INSERT'),
		('buffer-batch', 'cdc_retries', 'DELETE'),
		('buffer-batch', 'cdc_dead_letters', 'INSERT'))
	t (tool, object, privilege)
      UNION ALL
      SELECT 'buffer-write', 'ensure_partitions', 'EXECUTE',
             has_function_privilege(p.oid, 'EXECUTE')
      FROM pg_proc p WHERE p.pronamespace = 'philotes'::regnamespace
        AND p.proname IN ('ensure_partitions', 'stored_to')
      UNION ALL
      SELECT 'buffer-gc', p.proname, 'EXECUTE',
             has_function_privilege(p.oid, 'EXECUTE')
      FROM pg_proc p WHERE p.pronamespace = 'philotes'::regnamespace
        AND (p.proname LIKE 'gc\_%' OR p.proname = 'ensure_partitions')) n
WHERE NOT n.given
GROUP BY n.tool ORDER BY n.tool;
