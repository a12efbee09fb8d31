-- Registers consumer $1; $2: it begins after the newest event.
SELECT philotes.add_consumer($1, $2)
