SELECT pg_advisory_unlock(
    hashtextextended('philotes.batch:' || length($1) || ':' || $1 || $2, 0))
