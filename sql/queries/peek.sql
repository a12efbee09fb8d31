-- Decodes up to the first transaction that the slot $1 has for publication $2.
SELECT FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL, 1,
    'proto_version', '1', 'publication_names', pg_catalog.quote_ident($2))
