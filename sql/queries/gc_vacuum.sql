-- Makes the space of dead rows usable again.  SKIP_LOCKED does not wait for
-- locks; without TRUNCATE no reader or writer waits for ours.
VACUUM (SKIP_LOCKED, TRUNCATE false) philotes.cdc_writes, philotes.cdc_batches,
    philotes.cdc_sources, philotes.cdc_dead_letters, philotes.cdc_gc_runs,
    philotes.cdc_snapshots, philotes.cdc_schemas
