-- The number of our role's other sessions in this database.  Names are
-- qualified since the search_path is not pinned yet.
SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  AND usename OPERATOR(pg_catalog.=) current_user
  AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
