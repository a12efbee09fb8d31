-- Runs before the other files, which use features that an old server lacks.
SET search_path = pg_catalog, pg_temp;
DO $$
BEGIN
	IF current_setting('server_version_num')::int < 140000 THEN
		RAISE EXCEPTION 'PostgreSQL % is older than 14',
		    current_setting('server_version');
	END IF;
END $$;
