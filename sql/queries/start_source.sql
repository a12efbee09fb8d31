-- source, system, slot, checkpoint, timeline, kind
SELECT philotes.start_source($1, $2, $3, $4, $5, $6)
