-- Another process has source $2 locked.  The processes that wait for it share
-- this lock, so that release.sql sees them.
SELECT pg_try_advisory_lock_shared(hashtextextended(
    'philotes.request.' || $3 || ':' || length($1) || ':' || $1 || $2, 0))
