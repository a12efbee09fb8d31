-- Philotes: the buffer.  Load it with psql into a database of your choice:
--
--     psql -d buffer -f sql/001_schema.sql
--
-- It may be loaded again at any time, also beside running tools.  One
-- transaction: it is there as a whole or not at all.  A plain table of the name
-- philotes.cdc_events is converted, an older schema upgraded with what it holds;
-- tools of the older version go on until they are started again.
--
--   cdc_log      the events, append-only, partitioned by id
--   cdc_writes   one row per commit of a writer; the newest row of a source is
--                its watermark, and the ledger is a sparse index of the log
--   cdc_batches  one row per processed batch; the newest row of a consumer and
--                source is its cursor
--   cdc_events   the log as people know it: one row an event, processed_at
--                derived from the ledgers
--   cdc_pending  what a consumer has not passed, in the same columns
--   cdc_retries, cdc_dead_letters
--                batches that fail at the moment; events that were given up
--
-- Ids are drawn under the source's lock, so that within one source the order
-- of ids is the order of commits.  Nothing is ever updated per event.

-- What is beside this file is found by psql -f, not by psql < FILE.
\set ON_ERROR_STOP off
\ir beside.sql
\set ON_ERROR_STOP on
\if :{?beside}
\else
	DO 'BEGIN RAISE EXCEPTION ''001_schema.sql needs the files beside it''
	    USING HINT = ''Load it with psql -f, from the directory it came in.'';
	END';
\endif

BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '10s';

-- One at a time; a newer schema is left as it is.
DO $$
DECLARE
	v int;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.schema', 0));
	IF to_regprocedure('philotes.schema_version()') IS NOT NULL THEN
		EXECUTE 'SELECT philotes.schema_version()' INTO v;
		IF v > 2 THEN
			RAISE EXCEPTION 'schema philotes has version %, newer than 2', v;
		END IF;
	END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS philotes;

-- The plain table of that name, if there is one, makes way for the view.
\ir plain_table_begin.sql

-- What every tool asks for first.
CREATE OR REPLACE FUNCTION philotes.schema_version() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 2';

-- Ids per partition of cdc_log; the only place that says so.
CREATE OR REPLACE FUNCTION philotes.partition_width() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 10000000::bigint';

CREATE SEQUENCE IF NOT EXISTS philotes.cdc_log_id_seq CACHE 1;

-- json, not jsonb: it costs the server 0.6 of the CPU in and out, and a line
-- comes out byte for byte as it went in.  The view shows jsonb.
CREATE TABLE IF NOT EXISTS philotes.cdc_log (
	id             bigint      NOT NULL
	               DEFAULT nextval('philotes.cdc_log_id_seq'),
	source_id      text        NOT NULL,
	schema_name    text        NOT NULL,
	table_name     text        NOT NULL,
	operation      text        NOT NULL,
	lsn            text        NOT NULL,
	transaction_id bigint,
	commit_lsn     pg_lsn,
	seq            bigint,
	key_columns    json,
	before_data    json,
	after_data     json,
	event_time     timestamptz NOT NULL,
	metadata       json,
	created_at     timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE TABLE IF NOT EXISTS philotes.cdc_sources (
	source_id  text        PRIMARY KEY,
	system_id  text,       -- null: never written to by a pg-cdc-read
	slot       text,
	removed_to bigint      NOT NULL DEFAULT 0, -- by buffer-gc: the last id,
	removed    bigint      NOT NULL DEFAULT 0, -- and how many events
	created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS philotes.cdc_consumers (
	consumer   text        PRIMARY KEY,
	created_at timestamptz NOT NULL DEFAULT now()
);

-- Ids first_id to last_id hold the row's events and perhaps other sources';
-- events = 0 is a mere move of the checkpoint.  commit_lsn, seq, checkpoint,
-- timeline, total and last_id are carried forward from row to row.
CREATE TABLE IF NOT EXISTS philotes.cdc_writes (
	source_id  text        NOT NULL,
	write_no   bigint      NOT NULL,
	first_id   bigint      NOT NULL,
	last_id    bigint      NOT NULL,
	events     bigint      NOT NULL,
	total      bigint      NOT NULL,
	commit_lsn pg_lsn,
	seq        bigint,
	checkpoint pg_lsn,
	timeline   int,
	kind       text        NOT NULL DEFAULT 'stream'
	           CHECK (kind IN ('start', 'stream', 'gap', 'sql')),
	written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (source_id, write_no)
);

-- first_id is the last_id before it + 1: a compare-and-append.  write_no is
-- the row of cdc_writes that holds last_id, total the source's total there: the
-- difference of the totals is what waits.  batch_no counts a consumer's batches
-- of the source.
CREATE TABLE IF NOT EXISTS philotes.cdc_batches (
	consumer     text        NOT NULL,
	source_id    text        NOT NULL,
	first_id     bigint      NOT NULL,
	last_id      bigint      NOT NULL,
	events       bigint      NOT NULL,
	total        bigint      NOT NULL,
	write_no     bigint      NOT NULL,
	batch_no     bigint      NOT NULL DEFAULT 0,
	processed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (consumer, source_id, first_id)
);

-- A batch whose handler fails: here from its first failure until it is
-- processed or parked.  status is how it failed last.
CREATE TABLE IF NOT EXISTS philotes.cdc_retries (
	consumer   text        NOT NULL,
	source_id  text        NOT NULL,
	first_id   bigint      NOT NULL,
	last_id    bigint      NOT NULL,
	attempts   bigint      NOT NULL,
	status     text        NOT NULL,
	since      timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (consumer, source_id)
) WITH (fillfactor = 50);

-- Events that a handler could not process, whole, so that the log may go.
-- closed_at is set when the letter was delivered again and processed.
CREATE TABLE IF NOT EXISTS philotes.cdc_dead_letters (
	consumer       text        NOT NULL,
	id             bigint      NOT NULL,
	source_id      text        NOT NULL,
	schema_name    text        NOT NULL,
	table_name     text        NOT NULL,
	operation      text        NOT NULL,
	lsn            text        NOT NULL,
	transaction_id bigint,
	commit_lsn     pg_lsn,
	seq            bigint,
	key_columns    json,
	before_data    json,
	after_data     json,
	event_time     timestamptz NOT NULL,
	metadata       json,
	created_at     timestamptz NOT NULL,
	status         text        NOT NULL,
	attempts       bigint      NOT NULL,
	stderr         text,       -- the last lines of the handler's
	parked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	closed_at      timestamptz,
	PRIMARY KEY (consumer, id)
);
CREATE INDEX IF NOT EXISTS cdc_dead_letters_open
ON philotes.cdc_dead_letters (consumer, source_id, id)
WHERE closed_at IS NULL;

\ir upgrade.sql

-- The partition of the ids n * partition_width() and following, unless it is
-- there.  CREATE TABLE PARTITION OF would wait for every running COPY; LIKE and
-- ATTACH do not.
CREATE OR REPLACE FUNCTION philotes.make_partition(n bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	width CONSTANT bigint := philotes.partition_width();
	leaf  CONSTANT text := 'cdc_log_' || n;
BEGIN
	IF to_regclass('philotes.' || leaf) IS NULL THEN
		EXECUTE format('CREATE TABLE philotes.%I '
		    '(LIKE philotes.cdc_log INCLUDING ALL)', leaf);
		EXECUTE format('ALTER TABLE philotes.cdc_log ATTACH PARTITION '
		    'philotes.%I FOR VALUES FROM (%s) TO (%s)',
		    leaf, n * width, (n + 1) * width);
	END IF;
END $$;

-- Partitions for the id drawn last and `ahead` more.  Returns the first id
-- that no partition covers.
CREATE OR REPLACE FUNCTION philotes.ensure_partitions(ahead int DEFAULT 2)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
	width CONSTANT bigint := philotes.partition_width();
	n     bigint;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.partitions', 0));
	SELECT last_value / width INTO n FROM philotes.cdc_log_id_seq;
	FOR i IN n .. n + ahead LOOP
		PERFORM philotes.make_partition(i);
	END LOOP;
	RETURN (n + ahead + 1) * width;
END $$;

DO 'BEGIN PERFORM philotes.ensure_partitions(); END';

-- The fence of a source: held to the end of the transaction, taken before the
-- first id is drawn.  Under any other isolation level the snapshot would be
-- older than the lock.
CREATE OR REPLACE FUNCTION philotes.lock_source(source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'writing to schema philotes needs READ COMMITTED'
		USING ERRCODE = 'active_sql_transaction';
	END IF;
	PERFORM pg_advisory_xact_lock(
	    hashtextextended('philotes.write:' || source, 0));
END $$;

-- The newest row of a source in cdc_writes; all null if there is none.
CREATE OR REPLACE FUNCTION philotes.newest_write(source text)
RETURNS philotes.cdc_writes LANGUAGE sql VOLATILE AS $$
	SELECT w FROM philotes.cdc_writes w
	WHERE source_id = source ORDER BY write_no DESC LIMIT 1
$$;

-- What a writer calls between BEGIN and COPY: locks the source, returns its
-- watermark, the number of the row to write and an id below all that the COPY
-- will draw.
CREATE OR REPLACE FUNCTION philotes.begin_write(source text,
    OUT write_no bigint, OUT first_id bigint, OUT commit_lsn pg_lsn,
    OUT seq bigint, OUT checkpoint pg_lsn)
LANGUAGE plpgsql AS $$
DECLARE
	w philotes.cdc_writes;
BEGIN
	PERFORM philotes.lock_source(source);
	-- not newest_write(): a function in SQL is planned at each call
	SELECT * INTO w FROM philotes.cdc_writes n
	WHERE n.source_id = source ORDER BY n.write_no DESC LIMIT 1;
	write_no := coalesce(w.write_no, 0) + 1;
	first_id := nextval('philotes.cdc_log_id_seq');
	commit_lsn := w.commit_lsn;
	seq := w.seq;
	checkpoint := w.checkpoint;
	IF NOT EXISTS (SELECT FROM philotes.cdc_sources s
	               WHERE s.source_id = source) THEN
		INSERT INTO philotes.cdc_sources (source_id) VALUES (source)
		ON CONFLICT DO NOTHING;
	END IF;
END $$;

-- ... and between COPY and COMMIT: the ledger row.  Null means unchanged.  The
-- primary key refuses it if another writer came between.
CREATE OR REPLACE FUNCTION philotes.end_write(source text, no bigint,
    first bigint, events bigint, commit_lsn pg_lsn, seq bigint,
    checkpoint pg_lsn DEFAULT NULL, timeline int DEFAULT NULL,
    kind text DEFAULT 'stream') RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	w philotes.cdc_writes;
BEGIN
	SELECT * INTO w FROM philotes.cdc_writes n
	WHERE n.source_id = source ORDER BY n.write_no DESC LIMIT 1;
	INSERT INTO philotes.cdc_writes VALUES (source, no, first,
	    CASE WHEN events > 0 THEN currval('philotes.cdc_log_id_seq')
	         ELSE coalesce(w.last_id, 0) END,
	    events, coalesce(w.total, 0) + events,
	    CASE WHEN kind = 'gap' THEN NULL
	         ELSE coalesce(end_write.commit_lsn, w.commit_lsn) END,
	    CASE WHEN kind = 'gap' THEN NULL
	         WHEN end_write.commit_lsn IS NULL THEN w.seq
	         ELSE end_write.seq END,
	    coalesce(end_write.checkpoint, w.checkpoint),
	    coalesce(end_write.timeline, w.timeline), kind, clock_timestamp());
END $$;

-- A source's first start, or an accepted gap: from here on it is what this
-- slot of this cluster sends from `checkpoint` on.
CREATE OR REPLACE FUNCTION philotes.start_source(source text, system text,
    slot_name text, checkpoint pg_lsn, timeline int, kind text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	b record;
BEGIN
	SELECT * INTO b FROM philotes.begin_write(source);
	UPDATE philotes.cdc_sources SET system_id = system, slot = slot_name
	WHERE source_id = source;
	PERFORM philotes.end_write(source, b.write_no, b.first_id, 0, NULL, NULL,
	    start_source.checkpoint, start_source.timeline, start_source.kind);
END $$;

-- The source's total up to this id, which nothing above has been removed of, and
-- the row of cdc_writes that holds it.
CREATE OR REPLACE FUNCTION philotes.total_at(source text, up_to bigint,
    OUT total bigint, OUT write_no bigint)
LANGUAGE sql STABLE AS $$
	SELECT w.total - (SELECT count(*) FROM philotes.cdc_log l
	                  WHERE l.source_id = source
	                    AND l.id > up_to AND l.id <= w.last_id),
	       w.write_no
	FROM philotes.cdc_writes w
	WHERE w.source_id = source AND w.last_id >= up_to
	ORDER BY w.write_no LIMIT 1
$$;

-- A consumer's first use: from the oldest event there is, or after the newest.
-- It and the moment in which buffer-gc decides what goes exclude each other.
CREATE OR REPLACE FUNCTION philotes.add_consumer(name text,
    latest boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM philotes.cdc_consumers WHERE consumer = name) THEN
		RETURN false;
	END IF;
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'registering a consumer needs READ COMMITTED'
		USING ERRCODE = 'active_sql_transaction';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.consumers', 0));
	INSERT INTO philotes.cdc_consumers (consumer) VALUES (name)
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	-- of a batch that was on its way when the name was dropped before
	DELETE FROM philotes.cdc_batches WHERE consumer = name;
	-- what was removed before it came does not wait for it
	INSERT INTO philotes.cdc_batches (consumer, source_id, first_id,
	    last_id, events, total, write_no)
	SELECT name, s.source_id, 1, s.up_to, 0, t.total, t.write_no
	FROM (SELECT source_id, CASE
	             WHEN latest THEN (philotes.newest_write(source_id)).last_id
	             ELSE removed_to END AS up_to
	      FROM philotes.cdc_sources) s
	CROSS JOIN LATERAL philotes.total_at(s.source_id, s.up_to) t
	WHERE s.up_to > 0;
	RETURN true;
END $$;

-- Forgets the consumer, with its cursors and its dead letters; what only it had
-- not processed may be removed then.  False: there is none of that name.
CREATE OR REPLACE FUNCTION philotes.drop_consumer(name text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.consumers', 0));
	DELETE FROM philotes.cdc_consumers WHERE consumer = name;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	DELETE FROM philotes.cdc_batches WHERE consumer = name;
	DELETE FROM philotes.cdc_retries WHERE consumer = name;
	DELETE FROM philotes.cdc_dead_letters WHERE consumer = name;
	RETURN true;
END $$;

-- How far behind each consumer is in each source, from the ledgers alone.
-- oldest_age: since the first event waiting was written; null: none waits.
CREATE OR REPLACE FUNCTION philotes.lag()
RETURNS TABLE (consumer text, source_id text, events_behind bigint,
    oldest_age interval, last_batch_at timestamptz)
LANGUAGE sql STABLE AS $$
	SELECT c.consumer, s.source_id, w.total - coalesce(b.total, 0),
	       clock_timestamp() - f.written_at, b.processed_at
	FROM philotes.cdc_consumers c
	CROSS JOIN philotes.cdc_sources s
	CROSS JOIN LATERAL (
		SELECT total FROM philotes.cdc_writes
		WHERE source_id = s.source_id
		ORDER BY write_no DESC LIMIT 1) w
	LEFT JOIN LATERAL (
		SELECT last_id, total, write_no,
		       CASE WHEN events > 0 THEN processed_at END AS processed_at
		FROM philotes.cdc_batches
		WHERE consumer = c.consumer AND source_id = s.source_id
		ORDER BY first_id DESC LIMIT 1) b ON true
	LEFT JOIN LATERAL (
		SELECT written_at FROM philotes.cdc_writes
		WHERE source_id = s.source_id AND events > 0
		  AND write_no >= coalesce(b.write_no, 0)
		  AND last_id > coalesce(b.last_id, 0)
		ORDER BY write_no LIMIT 1) f ON true
	ORDER BY c.consumer, s.source_id
$$;

-- The consumer has processed the source's events up to this id.  Clamped to
-- what is committed, never back.  Returns the number of events.  A batcher at
-- work on the same range finds its own mark refused by the primary key.
CREATE OR REPLACE FUNCTION philotes.mark_processed(consumer_name text,
    source text, up_to_id bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	c  philotes.cdc_batches;
	w  philotes.cdc_writes;
	up bigint;
	n  bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM philotes.cdc_consumers
	               WHERE consumer = consumer_name) THEN
		RAISE EXCEPTION 'there is no consumer "%"', consumer_name;
	END IF;
	SELECT * INTO c FROM philotes.cdc_batches
	WHERE consumer = consumer_name AND source_id = source
	ORDER BY first_id DESC LIMIT 1;
	w := philotes.newest_write(source);
	up := least(up_to_id, w.last_id);
	IF up IS NULL OR up <= coalesce(c.last_id, 0) THEN
		RETURN 0;
	END IF;
	SELECT * INTO w FROM philotes.cdc_writes
	WHERE source_id = source AND write_no >= coalesce(c.write_no, 0)
	  AND last_id >= up
	ORDER BY write_no LIMIT 1;
	SELECT count(*) INTO n FROM philotes.cdc_log
	WHERE source_id = source AND id > coalesce(c.last_id, 0) AND id <= up;
	INSERT INTO philotes.cdc_batches (consumer, source_id, first_id, last_id,
	    events, total, write_no, batch_no)
	VALUES (consumer_name, source, coalesce(c.last_id, 0) + 1, up, n,
	    coalesce(c.total, 0) + n, w.write_no, coalesce(c.batch_no, 0) + 1);
	RETURN n;
END $$;

-- Per source, the step function "at this time all registered consumers had
-- passed this id", as two arrays of equal length.  A function, since from tables
-- as small as these the planner would expect so much work that it compiled the
-- query, which takes longer than the query.
CREATE OR REPLACE FUNCTION philotes.marks()
RETURNS TABLE (source_id text, bounds bigint[], times timestamptz[])
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
ROWS 10 COST 1000
SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
	RETURN QUERY
	SELECT b.source_id, array_agg(b.last_id ORDER BY b.last_id),
	       array_agg(x.t ORDER BY b.last_id)
	FROM (SELECT DISTINCT a.source_id, a.last_id FROM philotes.cdc_batches a
	      JOIN philotes.cdc_consumers USING (consumer)) b
	CROSS JOIN LATERAL (
		SELECT max(k.processed_at) AS t
		FROM philotes.cdc_consumers c
		LEFT JOIN LATERAL (
			SELECT k.processed_at, k.last_id
			FROM philotes.cdc_batches k
			WHERE k.consumer = c.consumer
			  AND k.source_id = b.source_id
			  AND k.first_id <= b.last_id
			ORDER BY k.first_id DESC LIMIT 1) k ON true
		HAVING count(*) = count(*) FILTER (WHERE k.last_id >= b.last_id)) x
	GROUP BY b.source_id;
END $$;

CREATE OR REPLACE VIEW philotes.cdc_events AS
SELECT l.id, l.source_id, l.schema_name, l.table_name, l.operation, l.lsn,
       l.transaction_id, l.key_columns::jsonb, l.before_data::jsonb,
       l.after_data::jsonb, l.event_time,
       CASE WHEN l.commit_lsn IS NULL THEN l.metadata::jsonb
            ELSE coalesce(l.metadata::jsonb, '{}') || jsonb_build_object(
                 'commit_lsn', l.commit_lsn::text, 'seq', l.seq)
       END AS metadata,
       l.created_at,
       m.times[1 + width_bucket(l.id - 1, m.bounds)] AS processed_at
FROM philotes.cdc_log l
LEFT JOIN philotes.marks() m ON m.source_id = l.source_id;

-- of version 1
DROP VIEW IF EXISTS philotes.cdc_marks;

-- What a consumer has not passed, found by its cursor: the ledger leads to the
-- ranges of ids.  SELECT * FROM philotes.cdc_pending WHERE consumer = 'name'
-- The OFFSETs keep the planner from any other way, whatever its statistics.
CREATE OR REPLACE VIEW philotes.cdc_pending AS
SELECT c.consumer, l.id, l.source_id, l.schema_name, l.table_name,
       l.operation, l.lsn, l.transaction_id, l.key_columns::jsonb,
       l.before_data::jsonb, l.after_data::jsonb, l.event_time,
       CASE WHEN l.commit_lsn IS NULL THEN l.metadata::jsonb
            ELSE coalesce(l.metadata::jsonb, '{}') || jsonb_build_object(
                 'commit_lsn', l.commit_lsn::text, 'seq', l.seq)
       END AS metadata,
       l.created_at, NULL::timestamptz AS processed_at
FROM philotes.cdc_consumers c
CROSS JOIN philotes.cdc_sources s
LEFT JOIN LATERAL (
	SELECT last_id, write_no FROM philotes.cdc_batches
	WHERE consumer = c.consumer AND source_id = s.source_id
	ORDER BY first_id DESC LIMIT 1) b ON true
CROSS JOIN LATERAL (
	SELECT greatest(first_id, coalesce(b.last_id, 0) + 1) AS low,
	       last_id AS high
	FROM philotes.cdc_writes
	WHERE source_id = s.source_id AND events > 0
	  AND write_no >= coalesce(b.write_no, 0)
	  AND last_id > coalesce(b.last_id, 0) OFFSET 0) w
CROSS JOIN LATERAL (
	SELECT * FROM philotes.cdc_log
	WHERE source_id = s.source_id AND id BETWEEN w.low AND w.high
	OFFSET 0) l;

-- Are commit_lsn and seq of the metadata what columns can hold, so that the view
-- and the stream show them again as they came?
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

-- INSERT and \copy into the view.  A run of rows of one source is one write:
-- its first row takes the lock, the row of another source or the end of the
-- statement writes the ledger row.  Where a run began is kept in
-- transaction-local settings, which a ROLLBACK TO takes back together with the
-- rows: philotes.run is the source behind a '=', or empty.  Everybody may set
-- them, so the ledger row says what is found in the log.  The right to INSERT
-- into the view is all that it takes.
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
		RAISE EXCEPTION
		    'id and processed_at of philotes.cdc_events are given by Philotes';
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
LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'philotes.cdc_events is append-only'
	USING HINT = CASE TG_OP WHEN 'UPDATE'
	    THEN 'Use philotes.mark_processed(consumer, source_id, up_to_id).'
	    ELSE 'Use buffer-gc.' END;
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

-- What the plain table held moves in; and what buffer-gc calls.
\ir plain_table_end.sql
\ir collect.sql

COMMIT;
