-- One process of consumer $1 works on source $2 at a time.
SELECT pg_try_advisory_lock(
    hashtextextended('philotes.batch:' || length($1) || ':' || $1 || $2, 0))
