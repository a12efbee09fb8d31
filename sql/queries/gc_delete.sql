-- partition, id to begin with, rows
SELECT philotes.gc_delete($1, $2, $3)
