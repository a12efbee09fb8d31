-- Decodes slot $1 up to its first transaction with changes of publication $2.
-- Up to version 14, transactions without any count too: they are sent as a
-- begin and a commit.
SELECT FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL,
    CASE WHEN pg_catalog.current_setting('server_version_num')::int < 150000
    THEN 10000 ELSE 1 END,
    'proto_version', '1', 'publication_names', pg_catalog.quote_ident($2))
