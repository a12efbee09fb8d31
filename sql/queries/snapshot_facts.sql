-- What a snapshot must know of the published table $2 to read its leaf $3 (the
-- table itself, or a partition), both as schema.table: the snapshot of this
-- transaction, and how far the WAL is that it may show, unless all of that is on
-- the disk; where the leaf is stored and how large it is; whether the table must
-- be read at once, since no key names its rows or they are in no blocks; and the
-- columns that the publication $1 has, as pgoutput would send them, with the name
-- of a type that is not PostgreSQL's own (of a domain: of its base type).  The
-- shape is another one if rows read before would now be read in another way.  No
-- row: the table is not published.  No leaf: it is none of its own.  Columns of
-- newer versions are taken from the row as JSON.  All names are those of
-- pg_catalog, which is the search_path.
WITH RECURSIVE t AS (
	SELECT to_regclass($2)::oid AS oid,
	       to_regclass($3)::oid AS leaf),
published AS (
	SELECT to_jsonb(p) ->> 'rowfilter' AS filter,
	       to_jsonb(p) -> 'attnames' AS names
	FROM pg_publication_tables p
	WHERE p.pubname = $1
	  AND format('%I.%I', p.schemaname, p.tablename) = $2),
-- other ones once the table has left the publication and come back
published_since AS (
	SELECT string_agg(concat_ws(' ', p.oid, r.oid), ','
	           ORDER BY r.oid) AS oids
	FROM t
	CROSS JOIN pg_publication p
	LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid
	 AND (r.prrelid = t.oid OR r.prrelid IN (
	     SELECT relid FROM pg_partition_ancestors(t.oid)))
	WHERE p.pubname = $1),
identity AS (
	SELECT i.* FROM t
	JOIN pg_class c ON c.oid = t.oid
	JOIN pg_index i ON i.indrelid = t.oid
	WHERE i.indisvalid AND i.indisunique AND i.indimmediate
	  AND i.indpred IS NULL
	  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
	                          WHEN 'i' THEN i.indisreplident END),
-- the columns of the key, without those of INCLUDE, and the operators that compare
-- them, if pg_catalog does not have these
keys AS (
	SELECT k.attnum, nullif(n.nspname, 'pg_catalog') AS operators
	FROM identity i
	CROSS JOIN LATERAL ROWS FROM (
	    unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]),
	    unnest(i.indclass::oid[])) AS k (attnum, opclass)
	LEFT JOIN pg_opclass c ON c.oid = k.opclass
	LEFT JOIN pg_amop o ON o.amopfamily = c.opcfamily
	 AND o.amopstrategy = 3 AND o.amoplefttype = c.opcintype
	 AND o.amoprighttype = c.opcintype
	LEFT JOIN pg_operator p ON p.oid = o.amopopr
	LEFT JOIN pg_namespace n ON n.oid = p.oprnamespace),
columns AS (
	SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, b.type_schema,
	       b.type_name, c.relreplident = 'f'
	           OR a.attnum IN (SELECT attnum FROM keys) AS key,
	       (SELECT operators FROM keys WHERE attnum = a.attnum) AS operators,
	       concat_ws(' ', a.attnum, a.attname, a.atttypid,
	           a.atttypmod, c.relreplident) AS shape
	FROM t
	JOIN pg_class c ON c.oid = t.oid
	JOIN pg_attribute a ON a.attrelid = c.oid
	CROSS JOIN published
	LEFT JOIN LATERAL (
		WITH RECURSIVE base AS (
			SELECT t.typtype, t.typbasetype, t.typnamespace, t.typname
			FROM pg_type t WHERE t.oid = a.atttypid
			UNION ALL
			SELECT t.typtype, t.typbasetype, t.typnamespace, t.typname
			FROM base
			JOIN pg_type t ON t.oid = base.typbasetype)
		SELECT n.nspname AS type_schema, base.typname AS type_name
		FROM base
		JOIN pg_namespace n ON n.oid = base.typnamespace
		WHERE base.typtype <> 'd') b ON a.atttypid >= 10000
	WHERE a.attnum > 0 AND NOT a.attisdropped
	  AND (published.names IS NULL OR published.names ? a.attname)
	  AND (a.attgenerated = ''
	       OR current_setting('server_version_num')::int >= 180000)),
-- pg_partition_tree() would wait for locks
tree AS (
	SELECT oid FROM t
	UNION ALL
	SELECT c.oid FROM tree
	JOIN pg_inherits i ON i.inhparent = tree.oid
	JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition)
SELECT pg_current_snapshot(),
       CASE WHEN pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()
            THEN pg_current_wal_insert_lsn() END,
       c.oid, c.relreplident, n.nspname, c.relname, l.oid,
       pg_relation_filenode(l.oid),
       pg_relation_size(l.oid)
           / current_setting('block_size')::int,
       (SELECT md5(concat_ws(' ', c.oid,
                   published.filter, published_since.oids,
                   string_agg(shape, ',' ORDER BY attnum)))
        FROM columns),
       CASE WHEN l.relkind = 'f' THEN 'it is a foreign table'
            WHEN l.relkind = 'p' AND EXISTS (
                SELECT FROM tree JOIN pg_class f USING (oid)
                WHERE f.relkind = 'f')
            THEN 'a partition of it is a foreign table'
       END,
       EXISTS (SELECT FROM tree
               JOIN pg_class h USING (oid)
               JOIN pg_am am ON am.oid = h.relam
               WHERE am.amname <> 'heap')
       OR NOT EXISTS (SELECT FROM identity)
       AND NOT EXISTS (
           SELECT FROM pg_index i
           WHERE c.relreplident = 'f' AND i.indrelid = c.oid
             AND i.indisvalid AND i.indisunique AND i.indimmediate
             AND i.indpred IS NULL AND i.indexprs IS NULL
             AND NOT EXISTS (
                 SELECT FROM pg_attribute k
                 WHERE k.attrelid = c.oid AND k.attnum = ANY (i.indkey)
                   AND NOT k.attnotnull)),
       published.filter, l.relkind = 'p',
       a.attname, a.atttypid, a.atttypmod, a.type_schema, a.type_name, a.key,
       a.operators
FROM t
JOIN pg_class c ON c.oid = t.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class l ON l.oid = t.leaf AND l.oid IN (SELECT oid FROM tree)
CROSS JOIN published
CROSS JOIN published_since
LEFT JOIN columns a ON true
ORDER BY a.attnum
