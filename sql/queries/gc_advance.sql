SELECT philotes.gc_advance($1 * interval '1 ms')
