-- Chooses the events to remove with a retention of $1 ms.
SELECT started_at, events FROM philotes.gc_begin($1 * interval '1 ms')
