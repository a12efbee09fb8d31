-- Included first by 001_schema.sql: so the other files are there too.
\set beside yes
