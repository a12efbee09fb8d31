-- For philotes check: who the cluster of the source is.
SET search_path = pg_catalog, pg_temp;
SELECT 'system', system_identifier FROM pg_control_system();
