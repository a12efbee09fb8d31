-- The writes that hold the events of source $1 after id $3, from write $2 on;
-- at most $4 of them.  The last column is the same in each row: the id from which
-- on the newest schema line of the source is in force, if it has one.
SELECT write_no, first_id, last_id, total,
       (SELECT max(from_id) FROM philotes.cdc_schemas WHERE source_id = $1)
FROM philotes.cdc_writes
WHERE source_id = $1 AND write_no >= $2 AND last_id > $3 AND events > 0
ORDER BY write_no LIMIT $4
