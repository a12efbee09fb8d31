-- The first id that no partition covers, and the ids in one.
SELECT philotes.ensure_partitions(), philotes.partition_width()
