-- Runs before the other files, which older servers do not understand.
SET search_path = pg_catalog, pg_temp;
DO $$
BEGIN
	IF current_setting('server_version_num')::int < 140000 THEN
		RAISE EXCEPTION 'PostgreSQL % is older than 14',
		    current_setting('server_version')
		    USING ERRCODE = 'feature_not_supported';
	END IF;
END $$;
