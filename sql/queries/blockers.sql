-- Who is in the way of process $1, in words; its session's search_path is not
-- ours.  A prepared transaction has no process.
SELECT pg_catalog.string_agg(CASE WHEN b.pid OPERATOR(pg_catalog.=) 0
    THEN 'a prepared transaction'
    ELSE pg_catalog.concat('process ', b.pid, pg_catalog.to_char(
        pg_catalog.timezone('UTC', a.xact_start),
        '", in a transaction since "YYYY-MM-DD"T"HH24:MI:SS"Z"')) END, '; ')
FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::pg_catalog.int4)) b (pid)
LEFT JOIN pg_catalog.pg_stat_activity a
    ON a.pid OPERATOR(pg_catalog.=) b.pid
