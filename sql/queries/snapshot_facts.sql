-- What a snapshot must know of the published table $2 to read its leaf $3 (the
-- table itself, or a partition), both as schema.table: the snapshot of this
-- transaction, where the leaf is stored and how large it is, and the columns that
-- the publication $1 has, as pgoutput would send them.  No row: the table is not
-- published, or the leaf is none of its own.  Columns of newer versions are taken
-- from the row as JSON.
WITH t AS (
	SELECT pg_catalog.to_regclass($2)::oid AS oid,
	       pg_catalog.to_regclass($3)::oid AS leaf),
published AS (
	SELECT pg_catalog.to_jsonb(p) ->> 'rowfilter' AS filter,
	       pg_catalog.to_jsonb(p) -> 'attnames' AS names
	FROM pg_catalog.pg_publication_tables p
	WHERE p.pubname = $1
	  AND pg_catalog.format('%I.%I', p.schemaname, p.tablename) = $2),
identity AS (
	SELECT i.indrelid, i.indkey FROM pg_catalog.pg_index i
	JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
	WHERE i.indisvalid AND i.indisunique AND i.indimmediate
	  AND i.indpred IS NULL
	  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
	                          WHEN 'i' THEN i.indisreplident END)
SELECT pg_catalog.pg_current_snapshot(), n.nspname, c.relname,
       pg_catalog.pg_relation_filenode(l.oid),
       pg_catalog.pg_relation_size(l.oid)
           / pg_catalog.current_setting('block_size')::int,
       CASE WHEN l.relkind = 'f' THEN 'it is a foreign table'
            WHEN am.amname <> 'heap' THEN 'its access method is not heap'
            WHEN NOT EXISTS (SELECT FROM identity i WHERE i.indrelid = c.oid)
             AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_index i
                WHERE c.relreplident = 'f' AND i.indrelid = c.oid
                  AND i.indisvalid AND i.indisunique AND i.indimmediate
                  AND i.indpred IS NULL AND i.indexprs IS NULL
                  AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_attribute k
                    WHERE k.attrelid = c.oid AND k.attnum = ANY (i.indkey)
                      AND NOT k.attnotnull))
            THEN 'it has no key'
       END,
       published.filter, a.attname, a.atttypid,
       c.relreplident = 'f' OR EXISTS (
           SELECT FROM identity i
           WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey)),
       l.relkind = 'p'
FROM t
JOIN pg_catalog.pg_class c ON c.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class l ON l.oid = t.leaf
 AND (l.oid = c.oid
      OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)))
LEFT JOIN pg_catalog.pg_am am ON am.oid = l.relam
CROSS JOIN published
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
 AND a.attnum > 0 AND NOT a.attisdropped
 AND (published.names IS NULL OR published.names ? a.attname)
 AND (a.attgenerated = ''
      OR pg_catalog.current_setting('server_version_num')::int >= 180000)
ORDER BY a.attnum
