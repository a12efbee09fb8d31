-- What every session on the buffer needs, whatever role and database say.
-- Compiling what takes a millisecond would take a quarter of a second.
SET jit = off;
SET statement_timeout = 0;
SET idle_session_timeout = 0;
SET lock_timeout = '5s';
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET search_path = pg_catalog, pg_temp
