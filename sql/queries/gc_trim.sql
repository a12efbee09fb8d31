-- first id that stays, number of rows to delete
SELECT philotes.gc_trim($1, $2)
