-- id that it ends before, rows
SELECT philotes.gc_trim($1, $2)
