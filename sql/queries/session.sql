-- Overrides the settings of role and database that matter to a session on the
-- buffer; tests/session.bats tries all others.  JIT takes longer than it saves
-- in short queries, and geqo may plan for ever.  If our host vanishes, the
-- server releases our locks after 60 s.
SET search_path = pg_catalog, pg_temp;
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 60000;
SET statement_timeout = 0;
SET idle_session_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
WHERE name = 'transaction_timeout';
SET lock_timeout = '5s';
SET jit = off;
SET geqo = off;
SET exit_on_error = off;
SET client_min_messages = notice;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET standard_conforming_strings = on;
SET array_nulls = on;
SET transform_null_equals = off;
SET quote_all_identifiers = off;
SET row_security = on
