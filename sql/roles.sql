-- Philotes: roles that may do what one stage does and nothing else.
--
--     psql -d shop -f sql/roles.sql
--     psql -d buffer -f sql/roles.sql
--
-- In a database with the schema philotes it makes the roles of the buffer, in
-- any other that of the source; with -v source=yes both, if they are the same.
-- It may be run again at any time, and again after 001_schema.sql: what the
-- roles may do in that schema is set to what stands here, not more, not less.
-- Attributes and passwords of a role that exists are left as they are.
--
--   philotes_reader   pg-cdc-read, on the source
--   philotes_writer   buffer-write
--   philotes_batcher  buffer-batch, philotes status and metrics
--   philotes_gc       buffer-gc
--
-- They may log in but have no password:  \password philotes_reader.  A role
-- that is a member of the last three can run `philotes run` by itself:
--
--     CREATE ROLE pipeline LOGIN IN ROLE philotes_writer, philotes_batcher,
--         philotes_gc;
--
-- Making the schema, the publication and consumers' end (drop_consumer) is the
-- owner's; making the slot is allowed to philotes_reader.

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
	-- it reads the WAL and the catalogs; of the tables nothing
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
	-- what runs with its owner's rights is for those who are named below
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
-- part of the view cdc_events, for whoever may read that
GRANT EXECUTE ON FUNCTION philotes.marks TO PUBLIC;

GRANT INSERT ON philotes.cdc_log TO philotes_writer;
GRANT USAGE ON SEQUENCE philotes.cdc_log_id_seq TO philotes_writer;
GRANT SELECT, INSERT ON philotes.cdc_writes, philotes.cdc_sources
TO philotes_writer;
GRANT UPDATE (system_id, slot) ON philotes.cdc_sources TO philotes_writer;

GRANT SELECT ON ALL TABLES IN SCHEMA philotes TO philotes_batcher;
GRANT SELECT ON SEQUENCE philotes.cdc_log_id_seq TO philotes_batcher;
GRANT INSERT ON philotes.cdc_batches, philotes.cdc_consumers,
    philotes.cdc_dead_letters TO philotes_batcher;
GRANT INSERT, UPDATE, DELETE ON philotes.cdc_retries TO philotes_batcher;
-- of a consumer's earlier life, see add_consumer
GRANT DELETE ON philotes.cdc_batches TO philotes_batcher;
GRANT UPDATE (closed_at, status, attempts, stderr, parked_at)
ON philotes.cdc_dead_letters TO philotes_batcher;
\endif

COMMIT;
