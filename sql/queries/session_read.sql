-- How buffer-batch's session reads.  A range of ids is always read through the
-- primary key, in its order; a lost mark is only a delivery again, so marks need
-- not wait for the disk.
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET synchronous_commit = off
