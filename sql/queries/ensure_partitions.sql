-- The first id that no partition covers, and the number of ids in a partition.
SELECT philotes.ensure_partitions(), philotes.partition_width()
