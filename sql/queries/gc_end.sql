-- retention in ms, start, events, partitions dropped, partitions in use
SELECT philotes.gc_end($2, $1 * interval '1 ms', $3, $4, $5)
