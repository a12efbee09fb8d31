-- The tables.  Rows are only ever added to cdc_log, cdc_writes and cdc_batches,
-- and removed by buffer-gc; nothing is updated per event.

-- The number of ids in a partition of cdc_log.
CREATE OR REPLACE FUNCTION philotes.partition_width() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 10000000::bigint';

CREATE SEQUENCE IF NOT EXISTS philotes.cdc_log_id_seq CACHE 1;

-- json, not jsonb: it costs the server 0.6 of the CPU on the way in and out,
-- and a line comes out byte for byte as it went in.  The view shows jsonb.
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

-- system_id is null until a pg-cdc-read has written to the source.  buffer-gc
-- may remove the events up to the id removed_to; removed is their number.
CREATE TABLE IF NOT EXISTS philotes.cdc_sources (
	source_id  text        PRIMARY KEY,
	system_id  text,
	slot       text,
	removed_to bigint      NOT NULL DEFAULT 0,
	removed    bigint      NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS philotes.cdc_consumers (
	consumer   text        PRIMARY KEY,
	created_at timestamptz NOT NULL DEFAULT now()
);

-- One row per commit of a writer.  The ids first_id to last_id hold its events,
-- and perhaps events of other sources.  A row with events = 0 only moves the
-- checkpoint.  commit_lsn, seq, checkpoint, timeline, total and last_id are
-- carried forward from row to row, so the newest row of a source is its
-- watermark.  bytes is about the length of the events as lines of the stream;
-- null if it is not known: the row is from a tool of version 3 or older.
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
	bytes      bigint,
	PRIMARY KEY (source_id, write_no)
);

-- One row per processed batch; the newest row of a consumer and source is its
-- cursor.  first_id is the previous last_id + 1, so that the primary key makes
-- an append a compare-and-append.  write_no is the row of cdc_writes that holds
-- last_id, total the source's total there: the difference between the totals is
-- the number of waiting events.  batch_no counts the batches of the consumer in
-- the source.
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

-- Batches whose handler fails, from the first failure until they are processed
-- or parked.  status tells how the last attempt failed.
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

-- Dead letters: whole events that a handler could not process, so that the log
-- need not keep them.  closed_at is set once the event was delivered again and
-- processed.
CREATE TABLE IF NOT EXISTS philotes.cdc_dead_letters (
	consumer  text        NOT NULL,
	LIKE philotes.cdc_log,
	status    text        NOT NULL,
	attempts  bigint      NOT NULL,
	stderr    text,       -- the last lines of the handler's stderr
	parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	closed_at timestamptz,
	PRIMARY KEY (consumer, id)
);
CREATE INDEX IF NOT EXISTS cdc_dead_letters_open
ON philotes.cdc_dead_letters (consumer, source_id, id)
WHERE closed_at IS NULL;

-- One row per completed run of buffer-gc; the newest 100 are kept.
CREATE TABLE IF NOT EXISTS philotes.cdc_gc_runs (
	started_at timestamptz PRIMARY KEY,
	ended_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
	retention  interval    NOT NULL,
	events     bigint      NOT NULL, -- removed
	partitions bigint      NOT NULL, -- dropped
	busy       bigint      NOT NULL, -- left for the next run, being in use
	held_by    text,                 -- the consumer most events wait for
	held       bigint      NOT NULL  -- their number
);

-- One row per table of a snapshot, as the newest mark in the stream has it, and
-- one with empty names when the snapshot is done.  Times and LSNs are the
-- source's, of the transactions with the marks: begin_lsn and began_at of the
-- newest begin, end_lsn of end, failed or done.  blocks of the table's `of`
-- blocks, and rows, were read before the newest mark.
CREATE TABLE IF NOT EXISTS philotes.cdc_snapshots (
	source_id   text        NOT NULL,
	id          text        NOT NULL,
	schema_name text        NOT NULL,
	table_name  text        NOT NULL,
	state       text        NOT NULL CHECK (state IN
	            ('begin', 'chunk', 'end', 'failed', 'done')),
	rows        bigint      NOT NULL,
	blocks      bigint      NOT NULL,
	of          bigint      NOT NULL,
	begin_lsn   pg_lsn,
	end_lsn     pg_lsn,
	began_at    timestamptz,
	changed_at  timestamptz,
	reason      text,       -- why it failed
	PRIMARY KEY (source_id, id, schema_name, table_name)
) WITH (fillfactor = 50);

-- The schema lines of the stream: the newest row with from_id <= id is in force
-- for an event.  definition is the line as it came, schema its name.  Older
-- events of a table than its first row came without one.
CREATE TABLE IF NOT EXISTS philotes.cdc_schemas (
	source_id   text        NOT NULL,
	schema_name text        NOT NULL,
	table_name  text        NOT NULL,
	from_id     bigint      NOT NULL,
	schema      text        NOT NULL,
	definition  json        NOT NULL,
	written_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (source_id, schema_name, table_name, from_id)
);
-- buffer-batch asks for what is new in a source
CREATE INDEX IF NOT EXISTS cdc_schemas_new
ON philotes.cdc_schemas (source_id, from_id);
