-- Included by 001_schema.sql: a plain table philotes.cdc_events is recognised,
-- locked and renamed.  plain_table_end.sql takes what it holds into the log.
--
-- What the view could not stand in for is refused: other columns, and objects
-- that hang on the table.

DO $$
DECLARE
	plain CONSTANT regclass := to_regclass('philotes.cdc_events');
	kind  "char" := (SELECT relkind FROM pg_class WHERE oid = plain);
	odd   text;
BEGIN
	PERFORM set_config('philotes.plain', '', true);
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
