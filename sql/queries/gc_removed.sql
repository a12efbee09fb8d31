-- Before events below $2 are let go with a retention of $1 ms: from now on a new
-- consumer begins behind them.
UPDATE philotes.cdc_sources s
SET removed_to = least(r.up_to, $2 - 1)
FROM philotes.removable($1 * interval '1 ms') r
WHERE s.source_id = r.source_id AND s.removed_to < least(r.up_to, $2 - 1)
