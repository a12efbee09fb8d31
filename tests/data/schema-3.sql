-- Takes the buffer's schema back from version 4 to version 3.  Load it with psql
-- after schema-4.sql.

BEGIN;
CREATE OR REPLACE FUNCTION philotes.schema_version() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 3';
ALTER TABLE philotes.cdc_writes DROP COLUMN bytes;
DROP FUNCTION philotes.line_bytes;
DROP FUNCTION philotes.end_write;

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

COMMIT;
