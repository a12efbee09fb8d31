-- Transactions of this database that are perhaps in the WAL as committed and yet
-- not visible, because they wait for a synchronous standby, with commas between;
-- and whether there may be any.  PREPARE TRANSACTION waits, too, but does not
-- commit.  COMMIT PREPARED has no xid of its own, so each prepared transaction
-- may be the one.  A role that may not see what the sessions of others do gets
-- all that run.
WITH waiting AS (
	SELECT backend_xid AS xid FROM pg_catalog.pg_stat_activity
	WHERE wait_event = 'SyncRep'
	  AND datname = pg_catalog.current_database()),
prepared AS (
	SELECT transaction AS xid FROM pg_catalog.pg_prepared_xacts
	WHERE database = pg_catalog.current_database()),
standby AS (
	SELECT pg_catalog.current_setting('synchronous_standby_names') <> ''
	           AS named,
	       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS seen)
SELECT pg_catalog.string_agg(x.xid, ','), standby.named
FROM standby
LEFT JOIN (
	SELECT xid::text FROM waiting
	WHERE xid NOT IN (SELECT xid FROM prepared)
	UNION
	SELECT xid::text FROM prepared
	WHERE EXISTS (SELECT FROM waiting WHERE xid IS NULL)
	UNION
	SELECT xid::text
	FROM standby, pg_catalog.pg_snapshot_xip(
	                  pg_catalog.pg_current_snapshot()) AS s (xid)
	WHERE named AND NOT seen) x ON true
GROUP BY standby.named
