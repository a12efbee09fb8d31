-- Other sessions that our role has in this database; the search_path of this
-- one is not ours.
SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  AND usename OPERATOR(pg_catalog.=) current_user
  AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
