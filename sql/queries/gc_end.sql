-- retention in ms, start, events, dropped partitions, partitions in use
SELECT philotes.gc_end($2, $1 * interval '1 ms', $3, $4, $5)
