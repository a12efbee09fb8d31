-- consumer, from the newest event on?
SELECT philotes.add_consumer($1, $2)
