-- The process ID of the server session.
SELECT pg_catalog.pg_backend_pid()
