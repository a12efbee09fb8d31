-- The reasons why events stay with a retention of $1 ms.
SELECT source_id, consumer, waiting,
       to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
           AS since,
       young, later, dead
FROM philotes.gc_held($1 * interval '1 ms')
