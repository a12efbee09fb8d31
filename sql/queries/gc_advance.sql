-- $1: the oldest mark that stays, in ms since 1970.
SELECT philotes.gc_advance(now() - (timestamptz 'epoch' + $1 * interval '1 ms'))
