-- For philotes check: the privileges that buffer-batch and buffer-gc need and
-- the current role lacks, a row a tool.  buffer-write --check has its own.
SET statement_timeout = '10s';
SET search_path = pg_catalog, pg_temp;

SELECT n.tool, regexp_replace(current_user, '[\x01-\x1f]', '?', 'g'),
       string_agg(n.privilege || ' on ' || n.object, ', ')
FROM (SELECT 'buffer-batch' AS tool, t.object, t.privilege,
             has_table_privilege('philotes.' || t.object, t.privilege) AS given
      FROM (VALUES ('cdc_log', 'SELECT'), ('cdc_writes', 'SELECT'),
                   ('cdc_batches', 'SELECT'), ('cdc_batches', 'INSERT'),
                   ('cdc_consumers', 'INSERT'), ('cdc_retries', 'DELETE'),
                   ('cdc_dead_letters', 'INSERT')) t (object, privilege)
      UNION ALL
      SELECT 'buffer-gc', p.proname, 'EXECUTE',
             has_function_privilege(p.oid, 'EXECUTE')
      FROM pg_proc p WHERE p.pronamespace = 'philotes'::regnamespace
        AND (p.proname LIKE 'gc\_%' OR p.proname = 'ensure_partitions')) n
WHERE NOT n.given
GROUP BY n.tool ORDER BY n.tool;
