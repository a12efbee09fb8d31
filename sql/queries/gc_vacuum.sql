-- What UPDATE and DELETE have left is for the next rows of the same tables; no
-- lock is waited for, and none is taken that anybody waits for.
VACUUM (SKIP_LOCKED, TRUNCATE false) philotes.cdc_writes, philotes.cdc_batches,
    philotes.cdc_sources, philotes.cdc_dead_letters, philotes.cdc_gc_runs
