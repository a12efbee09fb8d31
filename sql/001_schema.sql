-- Philotes: the buffer.  Load it with psql into a database of your choice:
--
--     psql -d buffer -f sql/001_schema.sql
--
-- It includes the files in schema/ beside it, which psql finds with -f only.
-- It may be loaded again at any time, also while tools run.  It is one
-- transaction: the schema is there as a whole or not at all.  A plain table
-- philotes.cdc_events is converted, and an older schema is upgraded with its
-- data; tools of the older version go on until they are restarted.
--
--   cdc_log      the events, append-only, partitioned by id
--   cdc_writes   one row per commit of a writer: a source's watermark, and a
--                sparse index of the log
--   cdc_batches  one row per processed batch: a consumer's cursors
--   cdc_events   the log as a view: one row per event; processed_at is derived
--                from the ledgers cdc_writes and cdc_batches
--   cdc_pending  in the same columns, the events a consumer has not processed
--   cdc_retries, cdc_dead_letters
--                batches that fail at the moment; events that were given up
--   cdc_snapshots
--                how far each table of a snapshot is
--   cdc_schemas  how to read the events of a table, from an id on

\set ON_ERROR_STOP on
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '10s';
-- the locks of a host that vanishes must not stay
SET LOCAL tcp_keepalives_idle = 30;
SET LOCAL tcp_keepalives_interval = 10;
SET LOCAL tcp_keepalives_count = 3;
SET LOCAL tcp_user_timeout = 60000;

-- Older servers lack features that the schema needs.
DO $$
BEGIN
	IF current_setting('server_version_num')::int < 140000 THEN
		RAISE EXCEPTION 'PostgreSQL % is older than 14',
		    current_setting('server_version');
	END IF;
END $$;

-- One load at a time; a newer schema is left as it is.
DO $$
DECLARE
	v int;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.schema', 0));
	IF to_regprocedure('philotes.schema_version()') IS NOT NULL THEN
		EXECUTE 'SELECT philotes.schema_version()' INTO v;
		IF v > 6 THEN
			RAISE EXCEPTION 'schema philotes has version %, newer than 6', v;
		END IF;
	END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS philotes;

-- Every tool checks the version first.
CREATE OR REPLACE FUNCTION philotes.schema_version() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 6';

\ir schema/plain_table.sql
\ir schema/tables.sql
\ir schema/upgrade.sql
\ir schema/partitions.sql
\ir schema/writing.sql
\ir schema/snapshots.sql
\ir schema/schemas.sql
\ir schema/consumers.sql
\ir schema/events.sql
\ir schema/insert.sql
\ir schema/gc.sql
\ir schema/gc_remove.sql

SELECT current_setting('philotes.plain') <> '' AS plain \gset
\if :plain
	\ir schema/convert.sql
\endif

COMMIT;
