-- Adds and fills the columns that the tables of an older schema lack.  Does
-- nothing if none is missing, so that loading the schema again waits for
-- nobody.
--
--   version 2   cdc_sources.removed, cdc_batches.batch_no
--   version 3   stored_to(), no column
--   version 4   cdc_writes.bytes, null in the rows of older versions
--   version 5   cdc_snapshots, no column
--   version 6   cdc_schemas, no column

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
	-- a running buffer-gc would go on without the new columns
	IF NOT pg_try_advisory_xact_lock(hashtextextended('philotes.gc', 0)) THEN
		RAISE EXCEPTION 'a buffer-gc of an older version is running'
		USING ERRCODE = 'lock_not_available',
		    HINT = 'Stop it, then load the schema again.';
	END IF;
	LOCK TABLE philotes.cdc_sources, philotes.cdc_writes, philotes.cdc_batches
	IN ACCESS EXCLUSIVE MODE;

	ALTER TABLE philotes.cdc_sources
	ADD COLUMN IF NOT EXISTS removed bigint NOT NULL DEFAULT 0;
	-- what total_at(), which does not exist yet, returns for removed_to
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
	-- only the newest row of each cursor gets the count
	UPDATE philotes.cdc_batches b SET batch_no = k.n
	FROM (SELECT consumer, source_id, max(first_id) AS first_id,
	             count(*) FILTER (WHERE events > 0) AS n
	      FROM philotes.cdc_batches GROUP BY consumer, source_id) k
	WHERE b.consumer = k.consumer AND b.source_id = k.source_id
	  AND b.first_id = k.first_id AND b.batch_no < k.n;
END $$;

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_attribute
	               WHERE attrelid = 'philotes.cdc_writes'::regclass
	                 AND attname = 'bytes') THEN
		ALTER TABLE philotes.cdc_writes ADD COLUMN bytes bigint;
	END IF;
END $$;

-- Version 4 added a parameter with a default to end_write().  If the old
-- function stayed, calls without that parameter, by tools of version 3, would
-- be ambiguous.
DROP FUNCTION IF EXISTS philotes.end_write(text, bigint, bigint, bigint, pg_lsn,
    bigint, pg_lsn, int, text);
