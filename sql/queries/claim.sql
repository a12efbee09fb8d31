-- One process of consumer $1 works on source $2 at a time; $3 is what it does.
SELECT pg_try_advisory_lock(hashtextextended(
    'philotes.' || $3 || ':' || length($1) || ':' || $1 || $2, 0))
