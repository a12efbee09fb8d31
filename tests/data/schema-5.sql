-- Takes the buffer's schema back from version 6 to version 5.  Load it with psql
-- after 001_schema.sql.

BEGIN;
CREATE OR REPLACE FUNCTION philotes.schema_version() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 5';
DROP FUNCTION philotes.schema_of;
DROP TABLE philotes.cdc_schemas;
COMMIT;
