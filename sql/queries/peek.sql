-- Decodes up to the first transaction that the slot $1 has for publication $2.  Up
-- to version 14 one of other tables is decoded too, as a begin and an end.
SELECT FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL,
    CASE WHEN pg_catalog.current_setting('server_version_num')::int < 150000
    THEN 10000 ELSE 1 END,
    'proto_version', '1', 'publication_names', pg_catalog.quote_ident($2))
