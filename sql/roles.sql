-- Philotes: a role for each stage, with the privileges that stage needs.
--
--     psql -d shop -f sql/roles.sql
--     psql -d buffer -f sql/roles.sql
--
-- In a database with the schema philotes it creates the roles of the buffer, in
-- any other the role of the source; with -v source=yes, for a database that is
-- both, all of them.  It may be run again at any time, and must be run again
-- after 001_schema.sql: the privileges of the roles in that schema become
-- exactly those below.  Attributes and passwords of existing roles are left as
-- they are.
--
--   philotes_reader   pg-cdc-read, on the source
--   philotes_writer   buffer-write
--   philotes_batcher  buffer-batch, philotes status and metrics
--   philotes_gc       buffer-gc
--
-- The roles may log in but have no password; set one with \password
-- philotes_reader.  A role that is a member of the last three can run "philotes
-- run" alone:
--
--     CREATE ROLE pipeline LOGIN IN ROLE philotes_writer, philotes_batcher,
--         philotes_gc;
--
-- philotes_reader may create the slot.  The owner of the database creates the
-- publication and the schema, and drops consumers.  For snapshots philotes_reader
-- must read the tables: grant it SELECT on them, or pg_read_all_data.

\set ON_ERROR_STOP on
SET search_path = pg_catalog, pg_temp;
SELECT to_regnamespace('philotes') IS NOT NULL AS buffer,
       to_regnamespace('philotes') IS NULL AS other \gset
\if :{?source}
\else
	\set source :other
\endif

BEGIN;
SET LOCAL client_min_messages = warning;

\if :source
DO $$
BEGIN
	IF to_regrole('philotes_reader') IS NULL THEN
		CREATE ROLE philotes_reader LOGIN REPLICATION;
	END IF;
	-- it reads the WAL and the catalogs, but no table
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO philotes_reader',
	    current_database());
END $$;
\endif

\if :buffer
DO $$
DECLARE
	one    text;
	roles  CONSTANT text[] := ARRAY['philotes_writer', 'philotes_batcher',
	    'philotes_gc'];
BEGIN
	FOREACH one IN ARRAY roles LOOP
		IF to_regrole(one) IS NULL THEN
			EXECUTE format('CREATE ROLE %I LOGIN', one);
		END IF;
		EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I',
		    current_database(), one);
		EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA philotes '
		    'FROM %I', one);
		EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA philotes '
		    'FROM %I', one);
		EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA philotes '
		    'FROM %I', one);
		EXECUTE format('GRANT USAGE ON SCHEMA philotes TO %I', one);
	END LOOP;
	-- SECURITY DEFINER functions only for the roles named below
	FOR one IN SELECT oid::regprocedure::text FROM pg_proc
	           WHERE pronamespace = 'philotes'::regnamespace AND prosecdef
	             AND prorettype <> 'trigger'::regtype LOOP
		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one);
	END LOOP;
	FOR one IN SELECT oid::regprocedure::text FROM pg_proc
	           WHERE pronamespace = 'philotes'::regnamespace
	             AND proname LIKE 'gc\_%' LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO philotes_gc', one);
	END LOOP;
END $$;

GRANT EXECUTE ON FUNCTION philotes.ensure_partitions
TO philotes_writer, philotes_gc;
GRANT EXECUTE ON FUNCTION philotes.stored_to TO philotes_writer;
-- used by the view cdc_events, which any role may be granted
GRANT EXECUTE ON FUNCTION philotes.processed_times TO PUBLIC;

GRANT INSERT ON philotes.cdc_log TO philotes_writer;
GRANT USAGE ON SEQUENCE philotes.cdc_log_id_seq TO philotes_writer;
GRANT SELECT, INSERT ON philotes.cdc_writes, philotes.cdc_sources,
    philotes.cdc_schemas TO philotes_writer;
GRANT UPDATE (system_id, slot) ON philotes.cdc_sources TO philotes_writer;
GRANT SELECT, INSERT, UPDATE ON philotes.cdc_snapshots TO philotes_writer;

GRANT SELECT ON ALL TABLES IN SCHEMA philotes TO philotes_batcher;
GRANT SELECT ON SEQUENCE philotes.cdc_log_id_seq TO philotes_batcher;
GRANT INSERT ON philotes.cdc_batches, philotes.cdc_consumers,
    philotes.cdc_dead_letters TO philotes_batcher;
GRANT INSERT, UPDATE, DELETE ON philotes.cdc_retries TO philotes_batcher;
-- add_consumer() deletes rows of a dropped consumer of that name
GRANT DELETE ON philotes.cdc_batches TO philotes_batcher;
GRANT UPDATE (closed_at, status, attempts, stderr, parked_at)
ON philotes.cdc_dead_letters TO philotes_batcher;
\endif

COMMIT;
