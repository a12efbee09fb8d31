SELECT n, first_id, end_id, may_go FROM philotes.gc_leaves()
