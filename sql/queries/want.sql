-- Those who wait for that share a lock, so that it can be seen.
SELECT pg_try_advisory_lock_shared(hashtextextended(
    'philotes.want.' || $3 || ':' || length($1) || ':' || $1 || $2, 0))
