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

\set ON_ERROR_STOP on
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '10s';
-- a host that vanishes is not to leave its locks behind
SET LOCAL tcp_keepalives_idle = 30;
SET LOCAL tcp_keepalives_interval = 10;
SET LOCAL tcp_keepalives_count = 3;
SET LOCAL tcp_user_timeout = 60000;

-- Before anything
-- ===============

-- An old server does not know what follows.
DO $$
BEGIN
	IF current_setting('server_version_num')::int < 140000 THEN
		RAISE EXCEPTION 'PostgreSQL % is older than 14',
		    current_setting('server_version');
	END IF;
END $$;

-- One at a time; a newer schema is left as it is.
DO $$
DECLARE
	v int;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.schema', 0));
	IF to_regprocedure('philotes.schema_version()') IS NOT NULL THEN
		EXECUTE 'SELECT philotes.schema_version()' INTO v;
		IF v > 3 THEN
			RAISE EXCEPTION 'schema philotes has version %, newer than 3', v;
		END IF;
	END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS philotes;

-- A plain table philotes.cdc_events makes way for the view: it is recognised,
-- locked and renamed.  Below, what it holds moves into the log.
--
-- What the view could not stand in for is refused: other columns, and objects
-- that hang on the table.

DO $$
DECLARE
	plain CONSTANT regclass := to_regclass('philotes.cdc_events');
	kind  "char" := (SELECT relkind FROM pg_class WHERE oid = plain);
	odd   text;
BEGIN
	PERFORM set_config('philotes.plain', '', true),
	        set_config('philotes.grants', coalesce(string_agg(g.sql, ';'), ''),
	            true)
	FROM (SELECT format('ALTER VIEW philotes.cdc_events OWNER TO %s',
	             c.relowner::regrole) AS sql
	      FROM pg_class c WHERE c.oid = plain AND kind = 'v'
	      UNION ALL
	      SELECT format('GRANT %s %s ON philotes.cdc_events TO %s%s',
	             a.privilege_type, k.names,
	             CASE a.grantee WHEN 0 THEN 'PUBLIC'
	             ELSE a.grantee::regrole::text END,
	             CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
	      FROM (SELECT '' AS names,
	                   coalesce(relacl, acldefault('r', relowner)) AS acl
	            FROM pg_class WHERE oid = plain
	            UNION ALL
	            SELECT format('(%I)', attname), attacl
	            FROM pg_attribute WHERE attrelid = plain) k,
	           aclexplode(k.acl) a
	      WHERE a.grantee <> (SELECT CASE kind WHEN 'v' THEN relowner
	                          ELSE current_user::regrole END
	                          FROM pg_class WHERE oid = plain)
	        AND a.privilege_type IN ('SELECT', 'INSERT')) g;
	IF plain IS NULL OR kind = 'v' THEN
		RETURN;
	END IF;
	IF kind NOT IN ('r', 'p') OR to_regclass('philotes.cdc_log') IS NOT NULL
	THEN
		RAISE EXCEPTION 'philotes.cdc_events is not the view of Philotes'
		USING HINT = 'Rename it, or use another database for the buffer.';
	END IF;
	LOCK TABLE philotes.cdc_events IN ACCESS EXCLUSIVE MODE;
	SELECT string_agg(coalesce(a.name, w.name), ', ') INTO odd
	FROM (SELECT attname::text AS name, format_type(atttypid, NULL) AS type
	      FROM pg_attribute
	      WHERE attrelid = plain AND attnum > 0 AND NOT attisdropped) a
	FULL JOIN (VALUES ('id', '{bigint,integer}'::text[]),
	    ('source_id', '{text,character varying}'),
	    ('schema_name', '{text,character varying}'),
	    ('table_name', '{text,character varying}'),
	    ('operation', '{text,character varying}'),
	    ('lsn', '{text,character varying,pg_lsn}'),
	    ('transaction_id', '{bigint,integer}'),
	    ('key_columns', '{jsonb,json}'), ('before_data', '{jsonb,json}'),
	    ('after_data', '{jsonb,json}'),
	    ('event_time', '{timestamp with time zone}'),
	    ('metadata', '{jsonb,json}'),
	    ('created_at', '{timestamp with time zone}'),
	    ('processed_at', '{timestamp with time zone}')) w (name, types)
	  ON w.name = a.name AND a.type = ANY (w.types)
	WHERE a.name IS NULL OR w.name IS NULL;
	IF odd IS NOT NULL THEN
		RAISE EXCEPTION 'philotes.cdc_events is a table that is not the plain '
		    'one, by its columns %', odd
		USING HINT = 'Rename it, or use another database for the buffer.';
	END IF;
	SELECT string_agg(DISTINCT what, ', ') INTO odd
	FROM (SELECT CASE r.ev_class WHEN plain THEN 'rule ' || quote_ident(rulename)
	             ELSE 'view ' || r.ev_class::regclass END AS what
	      FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
	      WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = plain
	      UNION ALL
	      SELECT 'foreign key of ' || conrelid::regclass
	      FROM pg_constraint WHERE confrelid = plain
	      UNION ALL
	      SELECT 'trigger ' || quote_ident(tgname)
	      FROM pg_trigger WHERE tgrelid = plain AND NOT tgisinternal
	      UNION ALL
	      SELECT 'policy ' || quote_ident(polname)
	      FROM pg_policy WHERE polrelid = plain
	      UNION ALL
	      SELECT 'row level security'
	      FROM pg_class WHERE oid = plain AND relrowsecurity) x;
	IF odd IS NOT NULL THEN
		RAISE EXCEPTION 'the table philotes.cdc_events cannot become a view '
		    'while it has: %', odd
		USING HINT = 'Drop them, and make them again afterwards if needed.';
	END IF;
	ALTER TABLE philotes.cdc_events RENAME TO cdc_events_plain;
	PERFORM set_config('philotes.plain', 'renamed', true);
END $$;

-- Tables
-- ======

-- What every tool asks for first.
CREATE OR REPLACE FUNCTION philotes.schema_version() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 3';

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
	consumer  text        NOT NULL,
	LIKE philotes.cdc_log,
	status    text        NOT NULL,
	attempts  bigint      NOT NULL,
	stderr    text,       -- the last lines of the handler's
	parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	closed_at timestamptz,
	PRIMARY KEY (consumer, id)
);
CREATE INDEX IF NOT EXISTS cdc_dead_letters_open
ON philotes.cdc_dead_letters (consumer, source_id, id)
WHERE closed_at IS NULL;

-- Upgrade
-- =======

-- What the tables of an older schema lack, and what would have been in it.  Only what is missing is touched, so that loading the
-- schema again waits for nobody.
--
--   2   cdc_sources.removed, cdc_batches.batch_no
--   3   stored_to(), and no column

DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_attribute
	           WHERE attrelid = 'philotes.cdc_batches'::regclass
	             AND attname = 'batch_no') AND
	   EXISTS (SELECT FROM pg_attribute
	           WHERE attrelid = 'philotes.cdc_sources'::regclass
	             AND attname = 'removed') THEN
		RETURN;
	END IF;
	-- an older buffer-gc goes by what it knew when it began
	IF NOT pg_try_advisory_xact_lock(hashtextextended('philotes.gc', 0)) THEN
		RAISE EXCEPTION 'a buffer-gc of an older version is at work'
		USING ERRCODE = 'lock_not_available',
		    HINT = 'Stop it, then load the schema again.';
	END IF;
	LOCK TABLE philotes.cdc_sources, philotes.cdc_writes, philotes.cdc_batches
	IN ACCESS EXCLUSIVE MODE;

	ALTER TABLE philotes.cdc_sources
	ADD COLUMN IF NOT EXISTS removed bigint NOT NULL DEFAULT 0;
	-- as total_at() has it, which is not there yet
	UPDATE philotes.cdc_sources s
	SET removed = w.total - (SELECT count(*) FROM philotes.cdc_log l
	                         WHERE l.source_id = s.source_id
	                           AND l.id > s.removed_to AND l.id <= w.last_id)
	FROM philotes.cdc_writes w
	WHERE s.removed_to > 0 AND w.source_id = s.source_id
	  AND w.write_no = (SELECT min(n.write_no) FROM philotes.cdc_writes n
	                    WHERE n.source_id = s.source_id
	                      AND n.last_id >= s.removed_to);

	ALTER TABLE philotes.cdc_batches
	ADD COLUMN IF NOT EXISTS batch_no bigint NOT NULL DEFAULT 0;
	-- those that are there are counted in the newest one
	UPDATE philotes.cdc_batches b SET batch_no = k.n
	FROM (SELECT consumer, source_id, max(first_id) AS first_id,
	             count(*) FILTER (WHERE events > 0) AS n
	      FROM philotes.cdc_batches GROUP BY consumer, source_id) k
	WHERE b.consumer = k.consumer AND b.source_id = k.source_id
	  AND b.first_id = k.first_id AND b.batch_no < k.n;
END $$;

-- Partitions
-- ==========

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

-- Writing
-- =======

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

-- Up to here the events of a source are stored: its watermark.  Version 2 stored
-- a message outside transactions under the LSN at which its record ends, where
-- the next one begins, perhaps a commit.  Since version 3 it has the LSN before
-- that, so that no commit has it, too.
CREATE OR REPLACE FUNCTION philotes.stored_to(source text,
    OUT commit_lsn pg_lsn, OUT seq bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w philotes.cdc_writes;
BEGIN
	SELECT * INTO w FROM philotes.cdc_writes n
	WHERE n.source_id = source ORDER BY n.write_no DESC LIMIT 1;
	commit_lsn := w.commit_lsn;
	seq := w.seq;
	-- the event that was stored last
	IF seq = 1 AND EXISTS (
		SELECT FROM philotes.cdc_log l
		WHERE l.source_id = source AND l.id = w.last_id
		  AND l.operation = 'MESSAGE' AND l.transaction_id IS NULL
		  AND l.commit_lsn = w.commit_lsn
		  AND l.lsn = w.commit_lsn::text)
	THEN
		commit_lsn := commit_lsn - 1;
	END IF;
END $$;

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

-- Consumers
-- =========

-- A consumer's first use: from the oldest event there is, or after the newest.
-- It and the moment in which buffer-gc decides what goes exclude each other.
CREATE OR REPLACE FUNCTION philotes.add_consumer(name text,
    latest boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
-- oldest_age: since the first event waiting was written; null: none waits, or
-- the server's clock was set back since.  What waits behind the first is not
-- older, whatever was set, so it is looked at as well.
CREATE OR REPLACE FUNCTION philotes.lag()
RETURNS TABLE (consumer text, source_id text, events_behind bigint,
    oldest_age interval, last_batch_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.consumer, s.source_id, w.total - coalesce(b.total, 0),
	       CASE WHEN f.written_at <= clock_timestamp()
	            THEN clock_timestamp() - f.written_at END, b.processed_at
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
	CROSS JOIN LATERAL (SELECT min(n.written_at) AS written_at FROM (
		SELECT written_at FROM philotes.cdc_writes
		WHERE source_id = s.source_id AND events > 0
		  AND write_no >= coalesce(b.write_no, 0)
		  AND last_id > coalesce(b.last_id, 0)
		ORDER BY write_no LIMIT 1000) n) f
	ORDER BY c.consumer, s.source_id
$$;

-- The consumer has processed the source's events up to this id.  Clamped to
-- what is committed, never back.  Returns the number of events.  A batcher at
-- work on the same range finds its own mark refused by the primary key.
CREATE OR REPLACE FUNCTION philotes.mark_processed(consumer_name text,
    source text, up_to_id bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

-- Views
-- =====

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

-- With session_replication_role = replica the triggers of a view do not fire, and
-- no ALTER makes them: the server would say "INSERT 0 1" and drop the row.  The
-- check of a column's type is made in every session, however a row is written,
-- so the type of processed_at refuses it.  The check is also made when the view
-- is read; a session that only reads has no such lock on the view.
CREATE OR REPLACE FUNCTION philotes.refuse_replica() RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_locks
	           WHERE pid = pg_catalog.pg_backend_pid() AND granted
	             AND locktype = 'relation'
	             AND database = (SELECT oid FROM pg_catalog.pg_database
	                 WHERE datname = pg_catalog.current_database())
	             AND relation =
	                 pg_catalog.to_regclass('philotes.cdc_events')
	             AND mode = 'RowExclusiveLock') THEN
		RAISE EXCEPTION 'philotes.cdc_events cannot be written to while '
		    'session_replication_role is replica'
		USING ERRCODE = 'object_not_in_prerequisite_state',
		    HINT = 'SET session_replication_role = origin before it.';
	END IF;
	RETURN true;
END $$;

DO $$
BEGIN
	IF to_regtype('philotes.processed_time') IS NULL THEN
		CREATE DOMAIN philotes.processed_time AS timestamptz
		CONSTRAINT not_by_a_replica CHECK (
		    CASE current_setting('session_replication_role')
		    WHEN 'replica' THEN philotes.refuse_replica() ELSE true END);
	END IF;
END $$;

-- A view without that type is made anew, unless something depends on it: then
-- it stays as it is, with a warning.
DO $$
DECLARE
	odd text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_attribute
	               WHERE attrelid = to_regclass('philotes.cdc_events')
	                 AND attname = 'processed_at'
	                 AND atttypid = 'timestamptz'::regtype) THEN
		RETURN;
	END IF;
	SELECT string_agg(what, ', ') INTO odd
	FROM (SELECT 'rule ' || quote_ident(rulename) AS what FROM pg_rewrite
	      WHERE ev_class = 'philotes.cdc_events'::regclass
	        AND rulename <> '_RETURN'
	      UNION ALL
	      SELECT 'trigger ' || quote_ident(tgname) FROM pg_trigger
	      WHERE tgrelid = 'philotes.cdc_events'::regclass
	        AND tgname NOT IN ('events_insert', 'events_insert_end',
	            'events_refuse')) x;
	IF odd IS NULL THEN
		DROP VIEW philotes.cdc_events;
		RETURN;
	END IF;
	RAISE dependent_objects_still_exist USING DETAIL = odd;
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS odd = PG_EXCEPTION_DETAIL;
	RAISE WARNING 'the view philotes.cdc_events stays as it was, and drops '
	    'without an error what is written with session_replication_role = '
	    'replica, while it has: %',
	    replace(odd, E'\n', ', ')
	USING HINT = 'Drop them, load the schema again, and make them again.';
END $$;

SELECT coalesce((SELECT atttypid::regtype::text FROM pg_attribute
                 WHERE attrelid = to_regclass('philotes.cdc_events')
                   AND attname = 'processed_at'),
           'philotes.processed_time') AS processed_type \gset

CREATE OR REPLACE VIEW philotes.cdc_events AS
SELECT l.id, l.source_id, l.schema_name, l.table_name, l.operation, l.lsn,
       l.transaction_id, l.key_columns::jsonb, l.before_data::jsonb,
       l.after_data::jsonb, l.event_time,
       CASE WHEN l.commit_lsn IS NULL THEN l.metadata::jsonb
            ELSE coalesce(l.metadata::jsonb, '{}') || jsonb_build_object(
                 'commit_lsn', l.commit_lsn::text, 'seq', l.seq)
       END AS metadata,
       l.created_at,
       CAST(m.times[1 + width_bucket(l.id - 1, m.bounds)]
            AS :processed_type) AS processed_at
FROM philotes.cdc_log l
LEFT JOIN philotes.marks() m ON m.source_id = l.source_id;
-- COPY checks the type of a column that it was not given if it has a default
ALTER VIEW philotes.cdc_events ALTER COLUMN processed_at SET DEFAULT NULL;

-- what was granted on the one before
DO $$
BEGIN
	EXECUTE current_setting('philotes.grants');
END $$;

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

-- INSERT into the view
-- ====================

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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

-- Conversion of the plain table
-- =============================

-- What the plain table held moves into the log, and it is dropped.
--
-- Its marks become those of the consumer `default`: a batch for each run of
-- equal processed_at.  A cursor needs the processed events of a source below
-- the others, so where one that is not processed lies below one that is, all of
-- the source that are not get new ids, in the same order.

DO $$
DECLARE
	width  CONSTANT bigint := philotes.partition_width();
	events CONSTANT bigint := 10000; -- in a row of cdc_writes
	top    bigint;
	moving bigint;
	odd    text;
	q      record;
BEGIN
	IF current_setting('philotes.plain') = '' THEN
		RETURN;
	END IF;
	IF EXISTS (SELECT FROM philotes.cdc_events_plain
	           WHERE id < 1 OR created_at IS NULL) THEN
		RAISE EXCEPTION
		    'philotes.cdc_events has a row without created_at or with an id '
		    'below 1';
	END IF;

	-- per source: the last id that is processed, whether the others move
	CREATE TEMP TABLE plain ON COMMIT DROP AS
	SELECT source_id, min(created_at) AS created_at, processed,
	       coalesce(waiting < processed, false) AS moves, n AS waiting
	FROM (SELECT source_id, min(created_at) AS created_at,
	             max(id) FILTER (WHERE processed_at IS NOT NULL) AS processed,
	             min(id) FILTER (WHERE processed_at IS NULL) AS waiting,
	             count(*) FILTER (WHERE processed_at IS NULL) AS n
	      FROM philotes.cdc_events_plain GROUP BY source_id) s
	GROUP BY source_id, processed, waiting, n;

	-- the last id that was ever given, also to a row that is gone
	SELECT coalesce(max(id), 0) INTO top FROM philotes.cdc_events_plain;
	FOR q IN SELECT DISTINCT s.oid::regclass AS name
	         FROM pg_class s
	         JOIN pg_depend d ON s.oid IN (d.objid, d.refobjid)
	         LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass
	                               AND f.oid = d.objid
	         WHERE s.relkind = 'S' AND 'philotes.cdc_events_plain'::regclass
	               IN (d.refobjid, f.adrelid) LOOP
		EXECUTE format('SELECT greatest($1, last_value - '
		    'CASE WHEN is_called THEN 0 ELSE 1 END) FROM %s', q.name)
		INTO top USING top;
	END LOOP;
	SELECT coalesce(sum(waiting), 0) INTO moving FROM plain WHERE moves;
	IF top + moving > 0 THEN
		PERFORM setval('philotes.cdc_log_id_seq', top + moving);
	END IF;
	PERFORM philotes.make_partition(n)
	FROM (SELECT DISTINCT id / width FROM philotes.cdc_events_plain
	      UNION
	      SELECT generate_series(top / width, (top + moving) / width)) x (n);
	PERFORM philotes.ensure_partitions();

	INSERT INTO philotes.cdc_log (id, source_id, schema_name, table_name,
	    operation, lsn, transaction_id, commit_lsn, seq, key_columns,
	    before_data, after_data, event_time, metadata, created_at)
	SELECT CASE WHEN x.moving
	            THEN top + row_number() OVER (PARTITION BY x.moving ORDER BY e.id)
	            ELSE e.id END,
	       e.source_id, e.schema_name, e.table_name, e.operation, e.lsn,
	       e.transaction_id,
	       CASE WHEN x.known THEN (x.metadata->>'commit_lsn')::pg_lsn END,
	       CASE WHEN x.known THEN (x.metadata->>'seq')::bigint END,
	       -- what is json may be what the view's jsonb cannot
	       e.key_columns::jsonb::json, e.before_data::jsonb::json,
	       e.after_data::jsonb::json,
	       e.event_time,
	       CASE WHEN x.known
	            THEN nullif(x.metadata - 'commit_lsn' - 'seq', '{}')
	            ELSE x.metadata END::json,
	       e.created_at
	FROM philotes.cdc_events_plain e
	JOIN plain p USING (source_id)
	CROSS JOIN LATERAL (
		SELECT p.moves AND e.processed_at IS NULL AS moving,
		       e.metadata::jsonb AS metadata,
		       philotes.identified(e.metadata::jsonb) AS known) x;

	INSERT INTO philotes.cdc_sources (source_id, created_at)
	SELECT source_id, created_at FROM plain;

	INSERT INTO philotes.cdc_writes (source_id, write_no, first_id, last_id,
	    events, total, kind, written_at)
	SELECT source_id, chunk + 1, min(id), max(id), count(*),
	       sum(count(*)) OVER (PARTITION BY source_id ORDER BY chunk), 'sql',
	       least(min(created_at), now())
	FROM (SELECT source_id, id, created_at,
	             (row_number() OVER (PARTITION BY source_id ORDER BY id) - 1)
	             / events AS chunk
	      FROM philotes.cdc_log) l
	GROUP BY source_id, chunk;

	INSERT INTO philotes.cdc_consumers (consumer)
	SELECT 'default' WHERE EXISTS (SELECT FROM plain);

	INSERT INTO philotes.cdc_batches (consumer, source_id, first_id, last_id,
	    events, total, write_no, batch_no, processed_at)
	SELECT 'default', source_id,
	       1 + coalesce(lag(last_id) OVER w, 0), last_id, n, sum(n) OVER w,
	       (sum(n) OVER w - 1)::bigint / events + 1, row_number() OVER w,
	       processed_at
	FROM (SELECT source_id, max(id) AS last_id, count(*) AS n, processed_at
	      FROM (SELECT source_id, id, processed_at,
	                   row_number() OVER (PARTITION BY source_id ORDER BY id)
	                   - row_number() OVER (PARTITION BY source_id, processed_at
	                                        ORDER BY id) AS run
	            FROM philotes.cdc_events_plain
	            WHERE processed_at IS NOT NULL) e
	      GROUP BY source_id, processed_at, run) b
	WINDOW w AS (PARTITION BY source_id ORDER BY last_id);

	BEGIN
		DROP TABLE philotes.cdc_events_plain;
	EXCEPTION WHEN dependent_objects_still_exist THEN
		GET STACKED DIAGNOSTICS odd = PG_EXCEPTION_DETAIL;
		RAISE EXCEPTION 'the table philotes.cdc_events cannot become a view '
		    'while it has: %', replace(replace(odd, E'\n', ', '),
		    'cdc_events_plain', 'cdc_events')
		USING HINT = 'Drop them, and make them again afterwards if needed.';
	END;
END $$;

-- Clean-up
-- ========

-- What buffer-gc calls, so that its role needs no right but that to call it, and
-- can remove nothing that must stay.
--
-- cdc_sources.removed_to is where it all hangs on: gc_begin raises it, and from
-- its commit on the source's events up to there may go at any time, for a new
-- consumer begins behind them.  All that follows only looks at it, so a run
-- may be interrupted anywhere.

-- One row a run that went to its end; the newest 100.
CREATE TABLE IF NOT EXISTS philotes.cdc_gc_runs (
	started_at timestamptz PRIMARY KEY,
	ended_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
	retention  interval    NOT NULL,
	events     bigint      NOT NULL, -- let go
	partitions bigint      NOT NULL, -- dropped
	busy       bigint      NOT NULL, -- partitions left for later, being in use
	held_by    text,                 -- the consumer that most events wait for
	held       bigint      NOT NULL  -- how many
);

-- Per source, the newest id that every registered consumer has passed longer
-- ago than the retention, and the consumer that has come least far.  No rows
-- without a consumer: what nobody has processed is kept.
CREATE OR REPLACE FUNCTION philotes.removable(retention interval)
RETURNS TABLE (source_id text, up_to bigint, held_by text)
LANGUAGE sql STABLE AS $$
	SELECT DISTINCT ON (s.source_id) s.source_id, k.up_to, c.consumer
	FROM philotes.cdc_sources s
	CROSS JOIN philotes.cdc_consumers c
	CROSS JOIN LATERAL (SELECT coalesce(
		(SELECT b.first_id - 1 FROM philotes.cdc_batches b
		 WHERE b.consumer = c.consumer AND b.source_id = s.source_id
		   AND b.processed_at >= now() - retention
		 ORDER BY b.first_id LIMIT 1),
		(SELECT b.last_id FROM philotes.cdc_batches b
		 WHERE b.consumer = c.consumer AND b.source_id = s.source_id
		 ORDER BY b.first_id DESC LIMIT 1), 0) AS up_to) k
	ORDER BY s.source_id, k.up_to, c.consumer
$$;

-- The first event of the buffer, by id, that is not removable; null if all are.
CREATE OR REPLACE FUNCTION philotes.first_kept(retention interval)
RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT min(f.id)
	FROM philotes.cdc_sources s
	LEFT JOIN philotes.removable(retention) r USING (source_id)
	CROSS JOIN LATERAL (
		SELECT greatest(w.first_id, coalesce(r.up_to, 0) + 1) AS id
		FROM philotes.cdc_writes w
		WHERE w.source_id = s.source_id AND w.events > 0
		  AND w.last_id > coalesce(r.up_to, 0)
		ORDER BY w.write_no LIMIT 1) f
$$;

-- Decides what goes: all that is removable, up to the end of the oldest
-- partition that stays.  Returns how many events that are.
CREATE OR REPLACE FUNCTION philotes.gc_begin(retention interval,
    OUT started_at timestamptz, OUT events bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	width CONSTANT bigint := philotes.partition_width();
	stays bigint;
BEGIN
	started_at := clock_timestamp();
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.consumers', 0));
	SELECT least(philotes.first_kept(retention), last_value) / width
	INTO stays FROM philotes.cdc_log_id_seq;
	WITH goes AS (
		SELECT s.source_id, u.up_to, t.total, t.total - s.removed AS n
		FROM philotes.removable(retention) r
		JOIN philotes.cdc_sources s USING (source_id)
		CROSS JOIN LATERAL (
			SELECT least(r.up_to, (stays + 1) * width - 1) AS up_to) u
		CROSS JOIN LATERAL philotes.total_at(s.source_id, u.up_to) t
		WHERE u.up_to > s.removed_to),
	said AS (
		UPDATE philotes.cdc_sources s
		SET removed_to = g.up_to, removed = g.total
		FROM goes g WHERE s.source_id = g.source_id)
	SELECT coalesce(sum(n), 0) INTO events FROM goes;
END $$;

-- No event below this id is to stay, and no more ids are drawn below it.
CREATE OR REPLACE FUNCTION philotes.gc_end_of_removed() RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM philotes.cdc_consumers)
	       THEN least(q.last_value, (
		SELECT min(f.id)
		FROM philotes.cdc_sources s
		CROSS JOIN LATERAL (
			SELECT greatest(w.first_id, s.removed_to + 1) AS id
			FROM philotes.cdc_writes w
			WHERE w.source_id = s.source_id AND w.events > 0
			  AND w.last_id > s.removed_to
			ORDER BY w.write_no LIMIT 1) f))
	       ELSE 0 END
	FROM philotes.cdc_log_id_seq q
$$;

-- The partitions, oldest first: number, first id, first id beyond, and whether
-- all of it may go.
CREATE OR REPLACE FUNCTION philotes.gc_leaves()
RETURNS TABLE (n bigint, first_id bigint, end_id bigint, may_go boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT l.n, l.n * w.ids, (l.n + 1) * w.ids, (l.n + 1) * w.ids <= k.id
	FROM (SELECT substr(c.relname, 9)::bigint AS n
	      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	      WHERE i.inhparent = 'philotes.cdc_log'::regclass) l,
	     philotes.partition_width() w (ids),
	     philotes.gc_end_of_removed() k (id)
	ORDER BY l.n
$$;

-- Empties a partition of which nothing is to stay.  False: something is, now
-- that it is locked.  Whoever would wait behind us matters more, so a lock that
-- is not to be had at once is an error, lock_not_available.
CREATE OR REPLACE FUNCTION philotes.gc_truncate(n bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
	leaf CONSTANT text := 'cdc_log_' || n;
BEGIN
	EXECUTE format('LOCK TABLE philotes.%I IN ACCESS EXCLUSIVE MODE', leaf);
	IF (n + 1) * philotes.partition_width() > philotes.gc_end_of_removed() THEN
		RETURN false;
	END IF;
	EXECUTE format('TRUNCATE philotes.%I', leaf);
	RETURN true;
END $$;

-- Drops a partition that is empty.  False: somebody who had drawn an id before
-- has written to it meanwhile.  Two locks one after the other, 200 ms in all.
CREATE OR REPLACE FUNCTION philotes.gc_drop(n bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
	leaf  CONSTANT text := 'cdc_log_' || n;
	empty boolean;
BEGIN
	LOCK TABLE ONLY philotes.cdc_log IN ACCESS EXCLUSIVE MODE;
	EXECUTE format('LOCK TABLE philotes.%I IN ACCESS EXCLUSIVE MODE', leaf);
	EXECUTE format('SELECT NOT EXISTS (SELECT FROM philotes.%I)', leaf)
	INTO empty;
	IF empty AND (n + 1) * philotes.partition_width() <=
	    philotes.gc_end_of_removed() THEN
		EXECUTE format('DROP TABLE philotes.%I', leaf);
		RETURN true;
	END IF;
	RETURN false;
END $$;

-- Looks at the next `rows` events of a partition and deletes those that go.
-- Returns the last id it has looked at, null at the end.
CREATE OR REPLACE FUNCTION philotes.gc_delete(n bigint, from_id bigint,
    rows bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last_id bigint;
BEGIN
	EXECUTE format('WITH chunk AS ('
	    'SELECT id, source_id FROM philotes.%1$I WHERE id >= $1 AND id <= '
	    '(SELECT max(removed_to) FROM philotes.cdc_sources) '
	    'ORDER BY id LIMIT $2), '
	    'gone AS (DELETE FROM philotes.%1$I l '
	    'USING chunk c JOIN philotes.cdc_sources s USING (source_id) '
	    'WHERE l.id = c.id AND l.id <= s.removed_to) '
	    'SELECT max(id) FROM chunk', 'cdc_log_' || n)
	INTO last_id USING from_id, rows;
	RETURN last_id;
END $$;

-- The ledgers go with the events below this id that they describe, and so do
-- closed dead letters; the newest row of a source, its watermark, and that of a
-- consumer, its cursor, stay.  Returns how many rows went, `rows` of each table
-- at the most.
CREATE OR REPLACE FUNCTION philotes.gc_trim(below bigint, rows bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	writes  bigint;
	batches bigint;
	letters bigint;
BEGIN
	DELETE FROM philotes.cdc_writes w
	USING (SELECT w.source_id, w.write_no
	       FROM philotes.cdc_sources s
	       CROSS JOIN LATERAL (
			SELECT coalesce(
				(SELECT b.write_no FROM philotes.cdc_writes b
				 WHERE b.source_id = s.source_id
				   AND b.last_id > least(s.removed_to, below - 1)
				 ORDER BY b.write_no LIMIT 1),
				(SELECT max(b.write_no) FROM philotes.cdc_writes b
				 WHERE b.source_id = s.source_id)) AS write_no) k
	       JOIN philotes.cdc_writes w
	         ON w.source_id = s.source_id AND w.write_no < k.write_no
	       LIMIT rows) g
	WHERE w.source_id = g.source_id AND w.write_no = g.write_no;
	GET DIAGNOSTICS writes = ROW_COUNT;
	DELETE FROM philotes.cdc_batches d
	USING (SELECT b.consumer, b.source_id, b.first_id
	       FROM philotes.cdc_sources s
	       CROSS JOIN philotes.cdc_consumers c
	       CROSS JOIN LATERAL (
			SELECT coalesce(
				(SELECT b.first_id FROM philotes.cdc_batches b
				 WHERE b.consumer = c.consumer
				   AND b.source_id = s.source_id
				   AND b.last_id > least(s.removed_to, below - 1)
				 ORDER BY b.first_id LIMIT 1),
				(SELECT max(b.first_id) FROM philotes.cdc_batches b
				 WHERE b.consumer = c.consumer
				   AND b.source_id = s.source_id)) AS first_id) k
	       JOIN philotes.cdc_batches b
	         ON b.consumer = c.consumer AND b.source_id = s.source_id
	        AND b.first_id < k.first_id
	       LIMIT rows) g
	WHERE d.consumer = g.consumer AND d.source_id = g.source_id
	  AND d.first_id = g.first_id;
	GET DIAGNOSTICS batches = ROW_COUNT;
	DELETE FROM philotes.cdc_dead_letters d
	USING (SELECT l.consumer, l.id
	       FROM philotes.cdc_sources s
	       JOIN philotes.cdc_dead_letters l
	         ON l.source_id = s.source_id AND l.closed_at IS NOT NULL
	        AND l.id <= least(s.removed_to, below - 1)
	       LIMIT rows) g
	WHERE d.consumer = g.consumer AND d.id = g.id;
	GET DIAGNOSTICS letters = ROW_COUNT;
	RETURN writes + batches + letters;
END $$;

-- Moves on to the next partition when the oldest event of the one in use is
-- older than a quarter of the retention, so that it will be dropped as a whole
-- and not be trimmed for long; unless events are held in many already.
--
-- The sequence is locked by an ALTER that changes nothing: whoever has drawn an
-- id has ended by then, and nobody draws one, so no id is drawn twice and no
-- COPY that is under way misses a partition made after it began.
CREATE OR REPLACE FUNCTION philotes.gc_advance(retention interval)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
	width CONSTANT bigint := philotes.partition_width();
	most  CONSTANT bigint := 16;
	head  bigint := (SELECT last_value / width FROM philotes.cdc_log_id_seq);
BEGIN
	IF (SELECT count(*) FROM philotes.gc_leaves() WHERE n < head) >= most OR
	    to_regclass('philotes.cdc_log_' || head + 1) IS NULL OR
	    NOT EXISTS (SELECT FROM philotes.cdc_writes w
	                JOIN philotes.cdc_sources s USING (source_id)
	                WHERE w.events > 0 AND w.last_id >= head * width
	                  AND w.last_id > s.removed_to
	                  AND w.written_at < now() - retention / 4) THEN
		RETURN false;
	END IF;
	ALTER SEQUENCE philotes.cdc_log_id_seq OWNED BY NONE;
	IF (SELECT last_value / width <> head FROM philotes.cdc_log_id_seq) THEN
		RETURN false;
	END IF;
	PERFORM setval('philotes.cdc_log_id_seq', (head + 1) * width, false);
	RETURN true;
END $$;

-- Why events stay, per source and consumer, whoever holds most first: those
-- that it has not processed, and since when the first of them waits; those that
-- it has, but not long enough ago; and those that only wait for a partition
-- before theirs.  consumer is null if there is none.
CREATE OR REPLACE FUNCTION philotes.gc_held(retention interval)
RETURNS TABLE (source_id text, consumer text, waiting bigint,
    since timestamptz, young bigint, later bigint, dead boolean)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.source_id, c.consumer, w.total - p.done, f.written_at,
	       p.done - p.old, p.old - s.removed,
	       c.consumer IS NOT NULL
	       AND coalesce(f.written_at < now() - retention, false)
	FROM philotes.cdc_sources s
	CROSS JOIN LATERAL philotes.newest_write(s.source_id) w
	LEFT JOIN philotes.cdc_consumers c ON true
	LEFT JOIN LATERAL (
		SELECT b.last_id, b.total, b.write_no FROM philotes.cdc_batches b
		WHERE b.consumer = c.consumer AND b.source_id = s.source_id
		ORDER BY b.first_id DESC LIMIT 1) b ON true
	LEFT JOIN LATERAL (
		SELECT k.total - k.events AS total FROM philotes.cdc_batches k
		WHERE k.consumer = c.consumer AND k.source_id = s.source_id
		  AND k.processed_at >= now() - retention
		ORDER BY k.first_id LIMIT 1) k ON true
	CROSS JOIN LATERAL (
		SELECT greatest(b.total, s.removed) AS done,
		       greatest(least(k.total, b.total), s.removed) AS old) p
	LEFT JOIN LATERAL (
		SELECT x.written_at FROM philotes.cdc_writes x
		WHERE x.source_id = s.source_id
		  AND x.write_no >= coalesce(b.write_no, 0)
		  AND x.last_id > greatest(b.last_id, s.removed_to)
		  AND x.events > 0
		ORDER BY x.write_no LIMIT 1) f ON true
	WHERE w.total > s.removed
	ORDER BY s.source_id, p.old, p.done, c.consumer
$$;

CREATE OR REPLACE FUNCTION philotes.gc_end(started_at timestamptz,
    retention interval, events bigint, partitions bigint, busy bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO philotes.cdc_gc_runs (started_at, retention, events,
	    partitions, busy, held_by, held)
	SELECT gc_end.started_at, gc_end.retention, gc_end.events,
	       gc_end.partitions, gc_end.busy, h.consumer, coalesce(h.n, 0)
	FROM (SELECT) one
	LEFT JOIN (SELECT consumer, sum(waiting) AS n
	           FROM philotes.gc_held(gc_end.retention)
	           WHERE waiting > 0 AND consumer IS NOT NULL
	           GROUP BY consumer ORDER BY n DESC, consumer LIMIT 1) h ON true;
	DELETE FROM philotes.cdc_gc_runs r
	WHERE r.started_at < (SELECT n.started_at FROM philotes.cdc_gc_runs n
	                      ORDER BY n.started_at DESC OFFSET 99 LIMIT 1);
	-- what was deleted is counted before the VACUUM that follows, not after
	IF to_regprocedure('pg_stat_force_next_flush()') IS NOT NULL THEN
		EXECUTE 'SELECT pg_stat_force_next_flush()';
	END IF;
END $$;

REVOKE ALL ON FUNCTION philotes.gc_begin, philotes.gc_leaves,
    philotes.gc_truncate, philotes.gc_drop, philotes.gc_delete,
    philotes.gc_trim, philotes.gc_advance, philotes.gc_held, philotes.gc_end
FROM PUBLIC;

COMMIT;
