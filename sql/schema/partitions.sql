-- The partitions of cdc_log.  COPY cannot write to a partition attached after
-- it began, so the next two are made before they are needed.

-- Makes the partition for the ids from n * partition_width() on, unless it
-- exists.  CREATE TABLE ... PARTITION OF would wait for every running COPY;
-- LIKE and ATTACH do not.
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

-- Makes the partition of the last id drawn and the `ahead` partitions after it.
-- Returns the first id that no partition covers.
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
