-- Follows WITH RECURSIVE listed (schema, name), the tables of --tables, and
-- published (name), the publication.  Returns the published tables that neither
-- are listed nor descend from a listed table; and, with a third column that is
-- not null, the listed tables of which nothing is published.
, tables AS (
	SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
	FROM published p
	JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.name
	JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
	JOIN pg_catalog.pg_class c
	  ON c.relnamespace = n.oid AND c.relname = t.tablename),
lines AS (
	SELECT oid, oid AS ancestor FROM tables
	UNION
	SELECT l.oid, i.inhparent FROM lines l
	JOIN pg_catalog.pg_inherits i ON i.inhrelid = l.ancestor),
matches AS (
	SELECT l.oid, w.schema, w.name FROM lines l
	JOIN pg_catalog.pg_class c ON c.oid = l.ancestor
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	JOIN listed w ON w.schema = n.nspname AND w.name = c.relname)
SELECT schema, name, NULL FROM tables
WHERE oid NOT IN (SELECT oid FROM matches)
UNION ALL
SELECT schema, name, 'missing' FROM listed w
WHERE NOT EXISTS (SELECT FROM matches m
                  WHERE m.schema = w.schema AND m.name = w.name)
