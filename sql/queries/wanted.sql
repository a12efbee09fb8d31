-- Does anybody wait?
SELECT CASE WHEN pg_try_advisory_lock(key) THEN NOT pg_advisory_unlock(key)
       ELSE true END
FROM (SELECT hashtextextended(
    'philotes.want.' || $3 || ':' || length($1) || ':' || $1 || $2, 0) AS key) k
