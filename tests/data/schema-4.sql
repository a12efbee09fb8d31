-- Takes the buffer's schema back from version 5 to version 4.  Load it with psql
-- after schema-5.sql.

BEGIN;
CREATE OR REPLACE FUNCTION philotes.schema_version() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 4';
DROP TABLE philotes.cdc_snapshots;
DROP FUNCTION philotes.keep_marks, philotes.is_mark,
    philotes.snapshot_progress;
COMMIT;
