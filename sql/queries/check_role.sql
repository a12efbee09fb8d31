-- The current role, and which of buffer-write's privileges it lacks; null:
-- none.
SELECT current_user,
       string_agg(p.privilege || ' on ' || p.object, ', ' ORDER BY p.object,
           p.privilege)
       FILTER (WHERE NOT p.given)
FROM (SELECT t.object, t.privilege,
             has_table_privilege('philotes.' || t.object, t.privilege) AS given
      FROM (VALUES ('cdc_log', 'INSERT'), ('cdc_writes', 'SELECT'),
                   ('cdc_writes', 'INSERT'), ('cdc_sources', 'SELECT'),
                   ('cdc_sources', 'INSERT'), ('cdc_snapshots', 'SELECT'),
                   ('cdc_snapshots', 'INSERT'), ('cdc_snapshots', 'UPDATE'),
                   ('cdc_schemas', 'SELECT'), ('cdc_schemas', 'INSERT'))
           t (object, privilege)
      UNION ALL
      SELECT 'cdc_sources', 'UPDATE',
             has_column_privilege('philotes.cdc_sources', 'system_id', 'UPDATE')
             AND has_column_privilege('philotes.cdc_sources', 'slot', 'UPDATE')
      UNION ALL
      SELECT 'cdc_log_id_seq', 'USAGE',
             has_sequence_privilege('philotes.cdc_log_id_seq', 'USAGE')
      UNION ALL
      SELECT f.proname, 'EXECUTE', has_function_privilege(f.oid, 'EXECUTE')
      FROM pg_catalog.pg_proc f
      WHERE f.pronamespace = 'philotes'::regnamespace
        AND f.proname IN ('ensure_partitions', 'stored_to')) p
