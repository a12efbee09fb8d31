-- Releases all locks and requests.  True: another process waits for source $2.
SELECT CASE WHEN pg_try_advisory_lock(key) THEN NOT pg_advisory_unlock(key)
       ELSE true END, pg_advisory_unlock_all()
FROM (SELECT hashtextextended(
    'philotes.request.' || $3 || ':' || length($1) || ':' || $1 || $2, 0)
    AS key) k
