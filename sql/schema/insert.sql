-- The triggers of the view cdc_events.  INSERT and \copy into it are allowed;
-- UPDATE and DELETE are refused.
--
-- A run of consecutive rows of one source is one write: its first row takes
-- the source's lock, and the first row of another source or the end of the
-- statement appends the row of cdc_writes.  The start of the run is kept in
-- settings of the transaction, which ROLLBACK TO restores together with the
-- rows:
--
--   philotes.run         '=' and the source, or empty
--   philotes.run_first   an id below all of the run
--
-- Anybody may change these settings, so end_run() counts the rows in the log.
-- The privilege to INSERT into the view is all that a role needs.

-- Whether commit_lsn and seq of the metadata fit their columns in such a way
-- that the view and the stream show them exactly as they were given.
CREATE OR REPLACE FUNCTION philotes.identified(metadata jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT coalesce(jsonb_typeof(metadata) = 'object'
	    AND jsonb_typeof(metadata->'commit_lsn') = 'string'
	    AND metadata->>'commit_lsn' ~
	        '^(0|[1-9A-F][0-9A-F]{0,7})/(0|[1-9A-F][0-9A-F]{0,7})$'
	    AND metadata->>'commit_lsn' <> '0/0'
	    AND jsonb_typeof(metadata->'seq') = 'number'
	    AND metadata->>'seq' ~ '^[1-9][0-9]{0,17}$', false)
$$;

CREATE OR REPLACE FUNCTION philotes.end_run(run text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	source CONSTANT text := substr(run, 2);
	first  bigint := current_setting('philotes.run_first');
	w      philotes.cdc_writes;
	n      bigint;
BEGIN
	PERFORM philotes.lock_source(source);
	SELECT * INTO w FROM philotes.cdc_writes k
	WHERE k.source_id = source ORDER BY k.write_no DESC LIMIT 1;
	first := greatest(first, w.last_id + 1);
	SELECT count(*) INTO n FROM philotes.cdc_log l
	WHERE l.source_id = source
	  AND l.id BETWEEN first AND currval('philotes.cdc_log_id_seq');
	IF n > 0 THEN
		PERFORM philotes.end_write(source, coalesce(w.write_no, 0) + 1,
		    first, n, NULL, NULL, kind => 'sql');
	END IF;
END $$;

CREATE OR REPLACE FUNCTION philotes.events_insert_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	run text := coalesce(current_setting('philotes.run', true), '');
BEGIN
	IF run <> '' THEN
		PERFORM philotes.end_run(run);
		PERFORM set_config('philotes.run', '', true);
	END IF;
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION philotes.events_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	run text := coalesce(current_setting('philotes.run', true), '');
	b   record;
	identified boolean := philotes.identified(NEW.metadata);
BEGIN
	IF NEW.id IS NOT NULL OR NEW.processed_at IS NOT NULL THEN
		RAISE EXCEPTION 'id and processed_at of philotes.cdc_events are '
		    'assigned by Philotes and cannot be given';
	END IF;
	IF run <> '=' || NEW.source_id OR NEW.source_id IS NULL THEN
		IF run <> '' THEN
			PERFORM philotes.end_run(run);
		END IF;
		SELECT * INTO b FROM philotes.begin_write(NEW.source_id);
		PERFORM set_config('philotes.run', '=' || NEW.source_id, true),
		        set_config('philotes.run_first', b.first_id::text, true);
	END IF;
	NEW.id := nextval('philotes.cdc_log_id_seq');
	NEW.created_at := coalesce(NEW.created_at, now());
	INSERT INTO philotes.cdc_log (id, source_id, schema_name, table_name,
	    operation, lsn, transaction_id, commit_lsn, seq, key_columns,
	    before_data, after_data, event_time, metadata, created_at)
	VALUES (NEW.id, NEW.source_id, NEW.schema_name, NEW.table_name,
	    NEW.operation, NEW.lsn, NEW.transaction_id,
	    CASE WHEN identified THEN (NEW.metadata->>'commit_lsn')::pg_lsn END,
	    CASE WHEN identified THEN (NEW.metadata->>'seq')::bigint END,
	    NEW.key_columns::json, NEW.before_data::json, NEW.after_data::json,
	    NEW.event_time,
	    CASE WHEN identified
	         THEN nullif(NEW.metadata - 'commit_lsn' - 'seq', '{}')
	         ELSE NEW.metadata END::json,
	    NEW.created_at);
	RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION philotes.events_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'philotes.cdc_events is append-only'
	USING HINT = CASE TG_OP WHEN 'UPDATE'
	    THEN 'Use philotes.mark_processed(consumer, source_id, up_to_id).'
	    ELSE 'buffer-gc removes processed events.' END;
END $$;

CREATE OR REPLACE TRIGGER events_insert
INSTEAD OF INSERT ON philotes.cdc_events
FOR EACH ROW EXECUTE FUNCTION philotes.events_insert();
CREATE OR REPLACE TRIGGER events_insert_end
AFTER INSERT ON philotes.cdc_events
FOR EACH STATEMENT EXECUTE FUNCTION philotes.events_insert_end();
CREATE OR REPLACE TRIGGER events_refuse
INSTEAD OF UPDATE OR DELETE ON philotes.cdc_events
FOR EACH ROW EXECUTE FUNCTION philotes.events_refuse();
