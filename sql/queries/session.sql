-- What every session on the buffer needs, whatever role and database say.
-- Compiling what takes a millisecond would take a quarter of a second.  If our
-- host vanishes the server lets go of our locks after 60 s.
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 60000;
SET jit = off;
SET statement_timeout = 0;
SET idle_session_timeout = 0;
SET lock_timeout = '5s';
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET search_path = pg_catalog, pg_temp
