-- Locks source $2 for this process of consumer $1, without waiting; $3 is what
-- it does: batch or letters.
SELECT pg_try_advisory_lock(hashtextextended(
    'philotes.' || $3 || ':' || length($1) || ':' || $1 || $2, 0))
