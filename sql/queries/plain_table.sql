-- Is philotes.cdc_events the plain table, instead of the view?
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'philotes' AND c.relname = 'cdc_events'
                 AND c.relkind IN ('r', 'p'))
