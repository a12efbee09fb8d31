-- The publication $1: the operations that it leaves out; whether its operations
-- need replica identities; the numbers of its tables, and among these of
-- partitions, partitioned tables and tables of the buffer; whether the
-- publication may be younger than the catalogs that slot $2 decodes with;
-- whether it is for all tables.
SELECT pg_catalog.concat_ws(', ',
           CASE WHEN NOT p.pubinsert THEN 'INSERT' END,
           CASE WHEN NOT p.pubupdate THEN 'UPDATE' END,
           CASE WHEN NOT p.pubdelete THEN 'DELETE' END,
           CASE WHEN NOT p.pubtruncate THEN 'TRUNCATE' END),
       p.pubupdate OR p.pubdelete,
       count(c.oid),
       count(c.oid) FILTER (WHERE c.relispartition),
       count(c.oid) FILTER (WHERE c.relkind = 'p'),
       count(c.oid) FILTER (WHERE n.nspname = 'philotes'),
       (SELECT pg_catalog.age(p.xmin) <= pg_catalog.age(s.catalog_xmin)
        FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $2),
       p.puballtables
FROM pg_catalog.pg_publication p
LEFT JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
LEFT JOIN pg_catalog.pg_class c
  ON c.relnamespace = n.oid AND c.relname = t.tablename
WHERE p.pubname = $1
GROUP BY p.oid, p.xmin
