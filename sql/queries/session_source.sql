-- The settings of every session on the source; they override those of the role
-- and the database.  No other setting has an effect (tests/session.bats).  The
-- walsender formats values under these settings.  If our host vanishes, the
-- keepalives make the server release the slot and our locks after 60 s.  There
-- is no tcp_user_timeout: we do not read from the socket while stdout is
-- blocked.
SET search_path = pg_catalog, pg_temp;
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 0;
SET statement_timeout = 0;
SET idle_session_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
WHERE name = 'transaction_timeout';
SET lock_timeout = 0;
SET jit = off;
SET geqo = off;
SET exit_on_error = off;
SET client_min_messages = warning;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET row_security = off;
SET standard_conforming_strings = on;
SET array_nulls = on;
SET transform_null_equals = off;
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET xmlbinary = 'base64';
SET quote_all_identifiers = off
