-- Compares each value of the tables m.TYPE with its event, and prints the
-- differences.  psql variable stream: the file of events.
--
-- The server's text of a value is what its output function returns, which
-- format() calls; a cast to text drops the blanks of a char and adds the mask
-- to an inet.  The value of an event is turned into text by the table in
-- philotes-stream(5) and the syntax of arrays alone.
\set ON_ERROR_STOP 1
\pset tuples_only
\pset format unaligned
SET search_path = pg_catalog;
SET timezone = 'UTC';
SET lc_monetary = 'C';
SET extra_float_digits = 3;
CREATE TEMP TABLE line (j json);
\set copy '\\copy line FROM ' :'stream' ' (FORMAT csv, QUOTE E''\\x01'', DELIMITER E''\\x02'')'
:copy

-- n number, b boolean, j JSON, s string
CREATE FUNCTION pg_temp.kind(type text) RETURNS text AS $$
	SELECT CASE
	    WHEN type IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8',
	        'numeric') THEN 'n'
	    WHEN type = 'bool' THEN 'b'
	    WHEN type IN ('json', 'jsonb') THEN 'j'
	    ELSE 's' END
$$ LANGUAGE sql;

-- The text of a value that is not an array; with a ! if it has the wrong JSON
-- type.
CREATE FUNCTION pg_temp.scalar(j json, kind text) RETURNS text AS $$
	SELECT CASE
	    WHEN kind = 'j' THEN j::text
	    WHEN json_typeof(j) = 'null' THEN NULL
	    WHEN kind = 'b' AND json_typeof(j) = 'boolean' THEN left(j::text, 1)
	    WHEN kind = 'n' AND json_typeof(j) = 'number' AND
	        j::text !~ '^-[0.]*$' THEN j::text
	    WHEN kind = 'n' AND t IN ('NaN', 'Infinity', '-Infinity', '-0') THEN t
	    WHEN kind = 's' AND json_typeof(j) = 'string' THEN t
	    ELSE '!' || j::text END
	FROM (SELECT j #>> '{}' AS t) s
$$ LANGUAGE sql;

CREATE FUNCTION pg_temp.array_text(j json, kind text, levels int, delim text)
RETURNS text AS $$
	SELECT CASE
	    WHEN levels > 0 THEN '{' || coalesce((SELECT string_agg(
	        pg_temp.array_text(e, kind, levels - 1, delim), delim ORDER BY n)
	        FROM json_array_elements(j) WITH ORDINALITY s (e, n)), '') || '}'
	    WHEN j::text = 'null' THEN 'NULL'
	    WHEN t = '' OR t ~* '^null$' OR t ~ '[{}"\\ \t\n\r\v\f]' OR
	        strpos(t, delim) > 0 THEN
	        '"' || regexp_replace(t, '(["\\])', '\\\1', 'g') || '"'
	    ELSE t END
	FROM (SELECT pg_temp.scalar(j, kind) AS t) s
$$ LANGUAGE sql;

CREATE TEMP TABLE expected (type text, n int, v text, a text, levels int);
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT * FROM public.types LOOP
		EXECUTE format('INSERT INTO expected SELECT %L, n,
		    CASE WHEN v IS NOT NULL THEN format(%L, v) END,
		    CASE WHEN a IS NOT NULL THEN format(%L, a) END, %s FROM m.%I',
		    t.name, '%s', '%s', CASE WHEN t.array_oid IS NULL
		    THEN 'NULL' ELSE 'coalesce(array_ndims(a), 1)' END, t.name);
	END LOOP;
END
$$;

-- between tokens of JSON a newline may become a space
UPDATE expected SET v = translate(v, E'\n\r', '  '),
    a = translate(a, E'\n\r', '  ')
WHERE type IN ('json', 'jsonb');

CREATE TEMP TABLE got AS
SELECT j->>'table_name' AS type, (j #>> '{after_data,n}')::int AS n,
    j->'after_data'->'v' AS v, j->'after_data'->'a' AS a,
    coalesce(j->'metadata'->'json_text', '[]')::jsonb AS json_text
FROM line WHERE j->>'schema_name' = 'm' AND j->>'control' IS NULL;

SELECT format('%s %s: %s, event: %s', type, n, left(e.v, 100), left(g.v, 100))
FROM (SELECT e.type, e.n, e.v, CASE
        WHEN g.v::text = 'null' THEN NULL
        WHEN s.odd AND json_text ? 'v' THEN g.v #>> '{}'
        WHEN s.odd OR json_text ? 'v' THEN '! json_text'
        ELSE pg_temp.scalar(g.v, pg_temp.kind(type)) END
    FROM expected e FULL JOIN got g USING (type, n)
    LEFT JOIN public.sample s USING (type, n)) g (type, n, e, v),
    LATERAL (SELECT g.e AS v) e
WHERE e.v IS DISTINCT FROM g.v;

SELECT format('%s[] %s: %s, event: %s', type, n, left(e, 100), left(g, 100))
FROM (SELECT type, n, e.a AS e, CASE
        WHEN json_typeof(g.a) = 'array' AND e.a LIKE '{%' AND
            NOT json_text ? 'a' THEN pg_temp.array_text(g.a,
            pg_temp.kind(type), levels, t.delim)
        WHEN json_typeof(g.a) = 'string' AND (e.a LIKE '[%' OR
            json_text ? 'a') THEN g.a #>> '{}'
        WHEN json_typeof(g.a) <> 'null' THEN '!' || g.a::text END AS g
    FROM expected e JOIN got g USING (type, n)
    JOIN (SELECT name AS type, delim FROM public.types) t USING (type)) s
WHERE e IS DISTINCT FROM g;

-- no type was left out
SELECT 'there is no sample of ' || name FROM public.types
WHERE NOT EXISTS (SELECT FROM expected WHERE type = name AND v IS NOT NULL)
    AND name NOT IN ('gtsvector', 'pg_brin_bloom_summary',
        'pg_brin_minmax_multi_summary');
SELECT 'an array of JSON is no string' WHERE NOT EXISTS (SELECT FROM got
    WHERE type = 'json' AND json_text ? 'a');

-- schema lines name the types as format_type() does, domains by their base types
CREATE TEMP TABLE named AS
SELECT j->>'table_name' AS tab, c->>'name' AS col, c->>'type' AS type,
    (j->>'relid')::oid AS relid
FROM line, json_array_elements(j->'columns') c WHERE j->>'control' = 'schema';
SELECT format('%s.%s: %s, schema line: %s', n.tab, n.col, t.name, n.type)
FROM named n
JOIN pg_attribute a ON a.attrelid = n.relid AND a.attname = n.col
JOIN pg_type y ON y.oid = a.atttypid
-- the table line of this session hides the type
CROSS JOIN LATERAL (SELECT replace(CASE WHEN y.typtype = 'd' THEN
    format_type(y.typbasetype, y.typtypmod)
    ELSE format_type(a.atttypid, a.atttypmod) END, 'pg_catalog.', '') AS name) t
WHERE n.type <> t.name;
SELECT 'no schema line of ' || name FROM public.types
WHERE name NOT IN (SELECT tab FROM named);
SELECT 'there are only ' || count(*) || ' types with modifiers'
FROM named WHERE tab = 'modified' AND type ~ '\(' HAVING count(*) < 40;
