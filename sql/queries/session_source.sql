-- What every session on the source needs, whatever role and database say.  The
-- walsender's writes values under these settings: they are the format's.  If our
-- host vanishes the server lets go of the slot and our locks after 60 s; but while
-- nobody takes what we read we read no more, and are not dead.
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 0;
SET client_min_messages = 'warning';
SET search_path = pg_catalog, pg_temp;
SET row_security = off;
SET default_transaction_read_only = off;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_session_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET xmlbinary = 'base64'
