SELECT philotes.gc_truncate($1)
