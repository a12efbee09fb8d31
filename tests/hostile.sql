-- Twins in schema public of functions and operators in pg_catalog: a call of
-- one moves the sequence public.trap.  Loaded once into a template database; a
-- database is hostile once its search_path has public before pg_catalog.
SET search_path = pg_catalog;
CREATE SEQUENCE public.trap MINVALUE 0;

DO $$
DECLARE
	-- types that plpgsql can take and return
	usable CONSTANT oid[] := ARRAY(SELECT oid FROM pg_type WHERE typtype <> 'p'
	    OR typname IN ('anyelement', 'anyarray'));
	body CONSTANT text := 'LANGUAGE plpgsql SET search_path = pg_catalog AS '
	    '''BEGIN PERFORM nextval(''''public.trap''''); RETURN NULL; END''';
	f record;
BEGIN
	FOR f IN
		SELECT proname, oidvectortypes(proargtypes) AS args,
		       format_type(prorettype, NULL) AS result, proretset
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
		AND prokind = 'f' AND provariadic = 0 AND prorettype = ANY (usable)
		AND usable @> proargtypes::oid[]
	LOOP
		CONTINUE WHEN f.proretset OR
		    f.result LIKE 'any%' AND f.args NOT LIKE '%any%';
		BEGIN
			EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s %s',
			    f.proname, f.args, f.result, body);
		EXCEPTION WHEN invalid_function_definition THEN
			NULL; -- a combination of polymorphic types
		END;
	END LOOP;
	FOR f IN
		SELECT oprname, oprkind, p.proname,
		       format_type(oprleft, NULL) AS l, format_type(oprright, NULL) AS r
		FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
		WHERE oprnamespace = 'pg_catalog'::regnamespace
		AND to_regprocedure(format('public.%I(%s)', p.proname,
		    oidvectortypes(p.proargtypes))) IS NOT NULL
	LOOP
		EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.%I%s, '
		    'RIGHTARG = %s)', f.oprname, f.proname,
		    CASE f.oprkind WHEN 'b' THEN format(', LEFTARG = %s', f.l)
		    ELSE '' END, f.r);
	END LOOP;
END $$;

CREATE FUNCTION public.step(bigint) RETURNS bigint LANGUAGE plpgsql
SET search_path = pg_catalog AS
'BEGIN PERFORM nextval(''public.trap''); RETURN NULL; END';
CREATE AGGREGATE public.count(*) (SFUNC = public.step, STYPE = bigint);
