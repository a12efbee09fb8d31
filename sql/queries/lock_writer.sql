-- Locks the source $1 for writing.  If that fails, the holder's process ID.
SELECT pg_catalog.pg_try_advisory_lock(k.key),
       (SELECT string_agg(l.pid::text, ', ') FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted
          AND l.database = (SELECT oid FROM pg_catalog.pg_database
                            WHERE datname = current_database())
          AND l.objsubid = 1
          AND l.classid::bigint = (k.key >> 32) & 4294967295
          AND l.objid::bigint = k.key & 4294967295)
FROM (SELECT hashtextextended('philotes.writer:' || $1, 0) AS key) k
