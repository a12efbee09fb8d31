-- May this role VACUUM the ledgers?
SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class
WHERE oid = 'philotes.cdc_writes'::regclass
