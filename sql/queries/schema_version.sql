SELECT philotes.schema_version()
