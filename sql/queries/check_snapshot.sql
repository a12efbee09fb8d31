-- What keeps the current role from taking snapshots of the publication $1, and
-- what mends it.  Leaves are read one by one, so each counts by itself.
-- to_regclass() would fail for tables in schemas that the role may not use, and
-- pg_partition_tree() would wait for locks.
WITH RECURSIVE published AS (
	SELECT p.schemaname, p.tablename, c.oid
	FROM pg_catalog.pg_publication_tables p
	JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
	JOIN pg_catalog.pg_class c
	  ON c.relnamespace = n.oid AND c.relname = p.tablename
	WHERE p.pubname = $1),
tree AS (
	SELECT * FROM published
	UNION
	SELECT t.schemaname, t.tablename, c.oid FROM tree t
	JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
	JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition),
leaves AS (
	SELECT t.schemaname, t.tablename, c.oid, c.relkind,
	       pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
	       n.oid AS schema
	FROM tree t
	JOIN pg_catalog.pg_class c ON c.oid = t.oid
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind <> 'p'),
found AS (
	SELECT 0 AS nth, '' AS schema, '' AS name,
	       'the role lacks EXECUTE on pg_logical_emit_message' AS reason,
	       'Without it nothing can be asked for, nor read.' AS remedy
	WHERE NOT EXISTS (
	    SELECT FROM pg_catalog.pg_proc f
	    WHERE f.proname = 'pg_logical_emit_message'
	      AND f.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
	      AND f.proargtypes[2] = 'text'::pg_catalog.regtype
	      AND pg_catalog.has_function_privilege(f.oid, 'EXECUTE'))
	UNION ALL
	SELECT 1, l.schemaname, l.tablename,
	       pg_catalog.format('"%s"."%s": %s', l.schemaname, l.tablename,
	           pg_catalog.format(r.reason, l.name)),
	       r.remedy
	FROM leaves l
	CROSS JOIN LATERAL (VALUES
	    (l.relkind = 'f', '%s is a foreign table',
	     'Copy its rows by other means.'),
	    (l.relkind <> 'f' AND NOT (
	         pg_catalog.has_table_privilege(l.oid, 'SELECT')
	         AND pg_catalog.has_schema_privilege(l.schema, 'USAGE')),
	     'the role may not SELECT from %s',
	     'GRANT SELECT on it and USAGE on its schema, or pg_read_all_data.'),
	    (pg_catalog.row_security_active(l.oid),
	     'row-level security filters %s',
	     'ALTER ROLE ... BYPASSRLS.')) r (applies, reason, remedy)
	WHERE r.applies)
SELECT reason, remedy FROM found ORDER BY nth, schema, name, reason
