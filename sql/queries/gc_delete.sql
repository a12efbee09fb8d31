-- partition, first id, number of rows to look at
SELECT philotes.gc_delete($1, $2, $3)
