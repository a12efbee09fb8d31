-- Describes what blocks process $1.  Names are qualified since the search_path
-- of the session is not pinned.  A prepared transaction has the pid 0.
SELECT pg_catalog.string_agg(CASE WHEN b.pid OPERATOR(pg_catalog.=) 0
    THEN 'a prepared transaction'
    ELSE pg_catalog.concat('process ', b.pid, pg_catalog.to_char(
        pg_catalog.timezone('UTC', a.xact_start),
        '", in a transaction since "YYYY-MM-DD"T"HH24:MI:SS"Z"')) END, '; ')
FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::pg_catalog.int4)) b (pid)
LEFT JOIN pg_catalog.pg_stat_activity a
    ON a.pid OPERATOR(pg_catalog.=) b.pid
