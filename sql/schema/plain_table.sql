-- A plain table philotes.cdc_events makes way for the view of that name: it is
-- checked, locked and renamed here, and convert.sql moves its rows into the
-- log.  Sets two settings of the transaction:
--
--   philotes.grants   the statements that restore the owner and the privileges
--                     of philotes.cdc_events, table or view
--   philotes.plain    not empty if there was a plain table

DO $$
BEGIN
	PERFORM set_config('philotes.plain', '', true),
	        set_config('philotes.grants', coalesce(string_agg(g.sql, ';'), ''),
	            true)
	FROM (SELECT oid, relkind, relowner, relacl,
	             CASE relkind WHEN 'v' THEN relowner
	             ELSE quote_ident(current_user)::regrole END AS next_owner
	      FROM pg_class WHERE oid = to_regclass('philotes.cdc_events')) c
	CROSS JOIN LATERAL (
		SELECT format('ALTER VIEW philotes.cdc_events OWNER TO %s',
		    c.relowner::regrole) AS sql
		WHERE c.relkind = 'v'
		UNION ALL
		SELECT format('GRANT %s %s ON philotes.cdc_events TO %s%s',
		    a.privilege_type, k.names,
		    CASE a.grantee WHEN 0 THEN 'PUBLIC'
		    ELSE a.grantee::regrole::text END,
		    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
		FROM (SELECT '' AS names,
		             coalesce(c.relacl, acldefault('r', c.relowner)) AS acl
		      UNION ALL
		      SELECT format('(%I)', attname), attacl
		      FROM pg_attribute WHERE attrelid = c.oid) k,
		     aclexplode(k.acl) a
		WHERE a.grantee <> c.next_owner
		  AND a.privilege_type IN ('SELECT', 'INSERT')) g;
END $$;

-- Locks the plain table; refuses one with other columns.
DO $$
DECLARE
	plain CONSTANT regclass := to_regclass('philotes.cdc_events');
	kind  "char" := (SELECT relkind FROM pg_class WHERE oid = plain);
	odd   text;
BEGIN
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
		RAISE EXCEPTION 'philotes.cdc_events differs from the plain table '
		    'in the columns %', odd
		USING HINT = 'Rename it, or use another database for the buffer.';
	END IF;
	PERFORM set_config('philotes.plain', 'locked', true);
END $$;

-- Refuses a plain table on which other objects depend; renames it.
DO $$
DECLARE
	plain CONSTANT regclass := to_regclass('philotes.cdc_events');
	odd   text;
BEGIN
	IF current_setting('philotes.plain') = '' THEN
		RETURN;
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
		USING HINT = 'Drop them; create them again afterwards if needed.';
	END IF;
	ALTER TABLE philotes.cdc_events RENAME TO cdc_events_plain;
END $$;
