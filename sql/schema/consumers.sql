-- Consumers: buffer-batch, "philotes consumer" and SQL clients call these.

-- Registers a consumer, which begins with the oldest event, or after the
-- newest.  False if it exists.  The lock keeps buffer-gc from deciding
-- meanwhile which events to remove.
CREATE OR REPLACE FUNCTION philotes.add_consumer(name text,
    latest boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM philotes.cdc_consumers WHERE consumer = name) THEN
		RETURN false;
	END IF;
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'registering a consumer requires isolation level '
		    'READ COMMITTED'
		USING ERRCODE = 'active_sql_transaction';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.consumers', 0));
	INSERT INTO philotes.cdc_consumers (consumer) VALUES (name)
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	-- a batch still under way when the name was dropped may have left a row
	DELETE FROM philotes.cdc_batches WHERE consumer = name;
	-- start after the events already removed, or after all there are
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

-- Drops a consumer with its cursors and dead letters; buffer-gc may then remove
-- the events that only this consumer had not processed.  False if there is no
-- such consumer.
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

-- How far each consumer is behind in each source, from the ledgers alone.
-- oldest_age is the time since the first waiting event was written.  It is null
-- if no event waits, or if the server's clock was set back since.  After the
-- clock was set back, a later row may have an earlier time, so the minimum of
-- the first 1000 rows is taken.
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

-- Records that a consumer has processed a source's events up to an id.  The id
-- is clamped to the last committed one; the cursor never goes back.  Returns
-- the number of events.  If a buffer-batch is working on the same range, the
-- primary key rejects its mark.
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
		RAISE EXCEPTION 'consumer "%" does not exist', consumer_name;
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
