-- Ordinary and partitioned tables that could be published, and whether their
-- replica identity allows it: 'ok', or the reason why not.  Partitions are
-- published with their root.
SELECT n.nspname, c.relname,
       CASE
       WHEN c.relpersistence <> 'p' THEN 'it is not logged'
       WHEN c.relreplident = 'f' THEN 'ok'
       WHEN c.relreplident = 'n' THEN 'its replica identity is NOTHING'
       WHEN EXISTS (SELECT FROM pg_catalog.pg_index i
                    WHERE i.indrelid = c.oid AND i.indisvalid
                      AND i.indisunique AND i.indimmediate
                      AND i.indpred IS NULL
                      AND CASE c.relreplident WHEN 'i' THEN i.indisreplident
                          ELSE i.indisprimary END) THEN 'ok'
       WHEN c.relreplident = 'i'
       THEN 'the index of its replica identity is missing'
       ELSE 'it has no primary key'
       END,
       EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
               JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
               WHERE r.prrelid = c.oid AND p.pubname = $1)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('philotes', 'pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY 1, 2
