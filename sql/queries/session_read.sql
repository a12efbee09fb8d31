-- Planner settings of buffer-batch's sessions: a range of ids is always read in
-- the order of the primary key.  A lost mark only causes a second delivery, so
-- marks need not wait for the disk.
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET synchronous_commit = off
