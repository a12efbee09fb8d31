-- Chooses the events to remove by the oldest mark that stays, $1 in ms since
-- 1970.
SELECT started_at, events FROM philotes.gc_begin(now() - (timestamptz 'epoch' + $1 * interval '1 ms'))
