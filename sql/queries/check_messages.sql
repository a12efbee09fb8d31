-- The functions with which PUBLIC, that is everybody, may write a logical
-- decoding message, as SQL names them; null: there is none.
SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::text, ', '
                             ORDER BY p.oid)
FROM pg_catalog.pg_proc p,
     LATERAL pg_catalog.aclexplode(coalesce(p.proacl,
         pg_catalog.acldefault('f', p.proowner))) a
WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
  AND p.proname = 'pg_logical_emit_message'
  AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'
