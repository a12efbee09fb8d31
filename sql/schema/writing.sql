-- What buffer-write calls, and the triggers of the view as well.  Ids are
-- drawn under the source's lock, so that within a source the order of ids is
-- the order of commits.

-- Locks a source for writing, until the end of the transaction and before the
-- first id is drawn.  Under any other isolation level the snapshot would be
-- older than the lock.
CREATE OR REPLACE FUNCTION philotes.lock_source(source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'writing to schema philotes requires isolation level '
		    'READ COMMITTED'
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

-- The watermark of a source: its events are stored up to here.
--
-- Version 2 stored a non-transactional message under the LSN where its record
-- ends, which may also be the commit_lsn of the transaction whose commit record
-- follows.  Version 3 subtracts 1, so that no commit has the same LSN, and that
-- is what this function does for a message that version 2 stored.
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
	-- the event stored last
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

-- A writer calls this between BEGIN and COPY.  Locks the source; returns its
-- watermark, the write_no of the row to append, and an id below all that the
-- COPY will draw.
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

-- A writer calls this between COPY and COMMIT.  Appends the row of cdc_writes;
-- a null parameter means unchanged.  The primary key rejects the row if
-- another writer came between.
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

-- Records the first start of a source, or a gap that was accepted: from here on
-- the source is the slot `slot_name` of the cluster `system`, read from
-- `checkpoint` on.
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

-- The total of a source up to an id, and the row of cdc_writes that holds the
-- id.  No event above the id may have been removed.
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
