-- The server's process behind this connection.
SELECT pg_catalog.pg_backend_pid()
