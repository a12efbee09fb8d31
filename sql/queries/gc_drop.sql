SELECT philotes.gc_drop($1)
