-- Raises an error that says what to do if the buffer has no schema philotes.
DO $$
DECLARE
	plain boolean;
BEGIN
	IF pg_catalog.to_regprocedure('philotes.schema_version()') IS NOT NULL THEN
		RETURN;
	END IF;
	SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
	               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	               WHERE n.nspname = 'philotes' AND c.relname = 'cdc_events'
	                 AND c.relkind IN ('r', 'p')) INTO plain;
	RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name',
	    MESSAGE = CASE WHEN plain
	    THEN 'the buffer has the plain table philotes.cdc_events, which '
	         '"philotes init" converts'
	    ELSE 'the buffer has no schema philotes, which "philotes init" makes'
	    END;
END $$;
