-- The reasons why events stay by the oldest mark that stays, $1 in ms since
-- 1970.
SELECT source_id, consumer, waiting,
       to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
           AS since,
       young, later, dead
FROM philotes.gc_held(now() - (timestamptz 'epoch' + $1 * interval '1 ms'))
