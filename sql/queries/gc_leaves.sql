-- The partitions of the log, oldest first: name, first id, first id beyond;
-- and whether, with a retention of $1 ms, all of it may go.  The partition that
-- ids are drawn from stays.
SELECT l.name, l.lo, l.hi,
       l.hi <= coalesce(k.kept, 9223372036854775807) AND l.hi <= q.last_value
FROM (SELECT c.relname AS name,
             substr(c.relname, 9)::bigint * philotes.partition_width() AS lo,
             (substr(c.relname, 9)::bigint + 1) * philotes.partition_width()
                 AS hi
      FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'philotes.cdc_log'::regclass) l,
     philotes.cdc_log_id_seq q,
     (SELECT CASE WHEN EXISTS (SELECT FROM philotes.cdc_consumers)
             THEN philotes.first_kept($1 * interval '1 ms') ELSE 0
             END AS kept) k
ORDER BY l.lo
