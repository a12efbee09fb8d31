#!/usr/bin/env bats
# The record of snapshots in the buffer, and philotes snapshot, status and
# metrics, which read it.

load helper
load lines

setup()
{
	databases_up
	in=$BATS_TEST_TMPDIR/in
	export PHILOTES_SOURCE_ID=s NO_COLOR=1
}

# mark COMMIT_LSN SEQ TABLE STATE [ROWS [BLOCKS [OF [REASON]]]]: the minutes of
# its time are those of the LSN
mark()
{
	local minute=$((16#${1#0/} / 16 % 60)) data
	data="{\"id\":\"one\",\"state\":\"$4\",\"rows\":${5:-0},\"blocks\":${6:-0},\"of\":${7:-0}${8:+,\"reason\":\"$8\"}}"
	snapshot_event "$1" "$2" "$3" "$data" "$minute"
}

# snapshot_event COMMIT_LSN SEQ TABLE DATA [MINUTE]
snapshot_event()
{
	printf '{"source_id":"s","schema_name":"%s","table_name":"%s","operation":"SNAPSHOT","lsn":"0/1","transaction_id":7,"key_columns":null,"before_data":null,"after_data":%s,"event_time":"2026-11-22T13:%02d:00Z","metadata":{"commit_lsn":"%s","seq":%s}}\n' \
		"${3:+public}" "$3" "$4" "${5:-0}" "$1" "$2"
}

record()
{
	buf_psql "SELECT id, table_name, state, rows, blocks, of, begin_lsn,
	    end_lsn, to_char(began_at AT TIME ZONE 'UTC', 'MI'),
	    to_char(changed_at AT TIME ZONE 'UTC', 'MI'), reason
	    FROM philotes.cdc_snapshots ORDER BY id, table_name"
}

@test "what the marks say is kept in the commit of their events" {
	{
		start sys slot 0/100 0/1000
		mark 0/110 1 t begin 0 0 9
		event s 0/110 2
		mark 0/120 1 t chunk 1 4 9
		event s 0/120 2
	} >"$in"
	# the first transaction is committed at the mark of the second, which
	# has no end
	write_lines 75 --batch-size 1
	[ "$(record)" = 'one|t|begin|0|0|9|0/110||17|17|' ]
	{
		cat "$in"
		mark 0/130 1 t chunk 2 8 9
		mark 0/140 1 t end 3 9 9
		mark 0/140 2 u failed 0 0 0 'no key'
		mark 0/140 3 '' 'done'
		checkpoint 0/148
	} >"$in.more"
	# what is skipped is not looked at: it would be another table's mark here
	sed -i '2s/"table_name":"t"/"table_name":"skipped"/' "$in.more"
	in=$in.more write_lines 0
	diff <(record) - <<-'EOF'
		one||done|0|0|0||0/140||20|
		one|t|end|3|9|9|0/110|0/140|17|20|
		one|u|failed|0|0|0||0/140||20|no key
	EOF
	in=$in.more write_lines 0
	[ "$(record | wc -l)" = 3 ]
	# a new begin voids the one before
	{
		start sys slot 0/100 0/1000
		mark 0/150 1 t begin 0 0 8
		checkpoint 0/158
		mark 0/160 1 u begin 0 0 1
		mark 0/170 1 u chunk 5 1 2
		checkpoint 0/178
	} >"$in"
	write_lines 0
	diff <(record) - <<-'EOF'
		one||done|0|0|0||0/140||20|
		one|t|begin|0|0|8|0/150||21|21|
		one|u|chunk|5|1|2|0/160||22|23|
	EOF
}

@test "a transaction too large to hold keeps its marks when it ends" {
	{
		start sys slot 0/100 0/1000
		mark 0/110 1 t begin 0 0 9
		many_events s 0/110 5000 | sed 1d
	} >"$in"
	write_lines 75
	[ "$(record)" = '' ]
	checkpoint 0/118 >>"$in"
	write_lines 0
	[ "$(record)" = 'one|t|begin|0|0|9|0/110||17|17|' ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_writes
	    WHERE kind = 'stream'")" = 1 ]
}

@test "many marks in one commit" {
	{
		start sys slot 0/100 0/1000
		mark 0/110 1 t begin 0 0 2000
		mark 0/110 3 t chunk @ @ 2000 |
			awk '{ for (n = 1; n <= 2000; n++) { l = $0; gsub(/@/, n, l)
			    sub(/"seq":3/, "\"seq\":" n + 2, l); print l } }'
		mark 0/120 3 u@ begin 0 0 1 |
			awk '{ for (n = 1; n <= 500; n++) { l = $0; sub(/@/, n, l)
			    sub(/"seq":3/, "\"seq\":" n + 2, l); print l
			    sub(/begin/, "end", l)
			    sub(/"seq":[0-9]*/, "\"seq\":" n + 1000, l); kept = kept l "\n" } }
			    END { printf "%s", kept }'
		checkpoint 0/200
	} >"$in"
	write_lines 0
	[ "$(buf_psql "SELECT state, count(*), min(begin_lsn), max(end_lsn),
	    max(rows) FROM philotes.cdc_snapshots GROUP BY 1 ORDER BY 1")" = \
	    $'chunk|1|0/110||2000\nend|500|0/120|0/120|0' ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 3001 ]
}

@test "an event that is no mark is stored, and the record passes it over" {
	local long
	long=$(printf '%600s' '' | tr ' ' x)
	{
		start sys slot 0/100 0/1000
		snapshot_event 0/110 1 t null
		snapshot_event 0/110 2 t '{}'
		snapshot_event 0/110 3 t '{"id":7,"state":"begin","rows":0,"blocks":0,"of":0}'
		snapshot_event 0/110 4 t '{"id":"a","state":"begun","rows":0,"blocks":0,"of":0}'
		snapshot_event 0/110 5 t '{"id":"a","state":"begin","rows":0,"blocks":0}'
		snapshot_event 0/110 6 t '{"id":"a","state":"begin","rows":-1,"blocks":0,"of":0}'
		snapshot_event 0/110 7 t '{"id":"a","state":"begin","rows":"x","blocks":0,"of":0}'
		snapshot_event 0/110 8 t '{"id":"a","state":"begin","rows":1e30,"blocks":0,"of":0}'
		snapshot_event 0/110 9 t "{\"id\":\"$long\",\"state\":\"begin\",\"rows\":0,\"blocks\":0,\"of\":0}"
		snapshot_event 0/110 10 "$long" '{"id":"a","state":"begin","rows":0,"blocks":0,"of":0}'
		snapshot_event 0/110 11 t "{\"id\":\"a\",\"state\":\"end\",\"rows\":0,\"blocks\":0,\"of\":0,\"x\":\"$(printf '%20000s' '')\"}"
		mark 0/110 12 "it's \\\"\\\\" failed 0 0 0 "it's \\\"so\\\"" |
			sed 's/2026-11-22T/infinity/; s/infinity[^"]*/infinity/'
		checkpoint 0/118
	} >"$in"
	write_lines 0
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 12 ]
	[ "$(record)" = 'one|it'\''s "\|failed|0|0|0||0/110|||it'\''s "so"' ]
}

# Of philotes snapshot

tables()
{
	src_psql "CREATE TABLE a (id int PRIMARY KEY, v text);
	    CREATE TABLE \"B b\" (id int PRIMARY KEY);
	    INSERT INTO a SELECT n, repeat('x', 500) FROM generate_series(1, 2000) n;
	    INSERT INTO \"B b\" VALUES (1)"
	pg-cdc-read --create
}

@test "philotes snapshot --wait ends when the tables have been read" {
	tables
	src_psql "CREATE ROLE reads LOGIN REPLICATION;
	    GRANT SELECT ON ALL TABLES IN SCHEMA public TO reads"
	PHILOTES_SOURCE_URL+=" user=reads"
	expect_code 0 philotes snapshot a
	[[ $output =~ ^'asked for snapshot "'[0-9a-f]{16}'" of the tables named'$ ]]
	start_pipeline
	wait_for done_count '' 1
	expect_code 0 philotes snapshot --wait a '"B b"'
	[[ $output == 'asked for snapshot "'* ]]
	[ "$(sed 1d <<<"$output")" = $'public.B b: 1 rows\npublic.a: 2000 rows' ]
	expect_code 0 philotes snapshot list
	[ "$(wc -l <<<"$output")" = 5 ]
	cut -f 2-6 <<<"$output" | tail -n 3 | diff - <(printf '%s\n' \
		$'s\tpublic.B b\tend\t1 of 1\t1' \
		$'s\tpublic.a\tend\t'"$(blocks a)"$'\t2000' \
		$'s\t-\tdone\t-\t-')
	[[ $(cut -f 7 <<<"$output" | head -n 1) =~ ^20[0-9-]*T[0-9:]*Z$ ]]
	# a table that cannot be read, and one that can
	PHILOTES_SOURCE_URL=${PHILOTES_SOURCE_URL% *} \
		src_psql "REVOKE SELECT ON \"B b\" FROM reads"
	expect_code 69 philotes snapshot --all --wait
	[[ $output == *$'\npublic.a: 2000 rows' ]]
	expect_error 'could not take a snapshot of "public.B b": permission denied'
	expect_code 1 philotes status
	[[ $output == *'the snapshot of 1 table of "s" failed, public.B b: permission denied'* ]]
	expect_code 0 philotes snapshot --wait a
	expect_code 0 philotes status
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
}

done_count()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_snapshots WHERE state = 'done'"
}

# blocks TABLE: all of all
blocks()
{
	src_psql "SELECT n || ' of ' || n FROM (SELECT pg_relation_size('$1')
	    / current_setting('block_size')::int) b (n)"
}

@test "philotes snapshot: usage, orders, and no buffer" {
	export PHILOTES_BIN=$BATS_TEST_TMPDIR/bin
	mkdir "$PHILOTES_BIN"
	printf '#!/bin/sh\necho "pg-cdc-read $*"' >"$PHILOTES_BIN/pg-cdc-read"
	chmod +x "$PHILOTES_BIN/pg-cdc-read"
	local order
	for order in pause resume cancel; do
		expect_code 0 philotes snapshot "--$order"
		[ "$output" = "pg-cdc-read --snapshot-do $order" ]
		expect_code 64 philotes snapshot "--$order" t
		expect_code 64 philotes snapshot "--$order" --wait
		expect_error 'could not use "--wait": it has no effect'
	done
	expect_code 0 philotes snapshot a b.c
	[ "$output" = 'pg-cdc-read --snapshot a,b.c' ]
	expect_code 0 philotes -v snapshot --all
	[ "$output" = 'pg-cdc-read -v --snapshot all' ]
	expect_code 64 philotes snapshot
	expect_error 'a snapshot of what is missing'
	expect_code 64 philotes snapshot --wait
	expect_code 64 philotes snapshot --all t
	expect_code 64 philotes snapshot --pause --resume
	expect_code 64 philotes snapshot all
	[[ $stderr == *'public.all'* ]]
	expect_code 64 philotes snapshot list x
	expect_code 64 philotes snapshot list --wait
	expect_code 64 philotes status --all
	# without a buffer a snapshot can be asked for, but there is no record
	export PHILOTES_BUFFER_ENABLED=false
	expect_code 0 philotes snapshot --all
	expect_code 78 philotes snapshot list
	expect_error 'PHILOTES_BUFFER_ENABLED is false'
	expect_code 78 philotes snapshot --all --wait
	[ "$output" = '' ]
	expect_code 1 philotes status
	[[ $output == *$'\nsnapshot not recorded without a buffer' ]]
	expect_code 1 philotes status --json
	[ "$(jq -c .snapshots <<<"$output")" = null ]
}

# A record of two snapshots of which the last is under way: half of a table of
# 1000 blocks after 10 s
under_way()
{
	buf_psql "INSERT INTO philotes.cdc_sources (source_id) VALUES ('s');
	    INSERT INTO philotes.cdc_writes (source_id, write_no, first_id,
	        last_id, events, total) VALUES ('s', 1, 1, 0, 0, 0);
	    INSERT INTO philotes.cdc_snapshots
	    SELECT 's', id, 'public', t, state, rows, blocks, of, '0/1', '0/2',
	        timestamptz '2026-01-01 00:00Z' + began * interval '1 s',
	        timestamptz '2026-01-01 00:00Z' + changed * interval '1 s', reason
	    FROM (VALUES
	        ('old', 'gone', 'chunk', 7, 1, 2, 0, 1, NULL),
	        ('new', 'x', 'end', 10, 3, 3, 5, 6, NULL),
	        ('new', E'y\tz', 'failed', 0, 0, 0, 6, 6, 'denied'),
	        ('new', 'big', 'chunk', 40000, 500, 1000, 7, 17, NULL),
	        ('new', 'late', 'begin', 0, 0, 0, 17, 17, NULL))
	    v (id, t, state, rows, blocks, of, began, changed, reason)"
}

@test "status and metrics of a snapshot that is under way" {
	tables
	under_way
	expect_code 1 philotes status
	[[ $output == *'the snapshot of 1 table of "s" failed, public.y?z: denied'* ]]
	grep -qx 'snapshot new of s: 40010 rows; tables read: 1, failed: 1' \
		<<<"$output"
	grep -qE '^public\.big +500 of 1000 +40000 +4000 +10 s$' <<<"$output"
	grep -qE '^public\.late +0 of 0 +0 +- +-$' <<<"$output"
	refute grep gone <<<"$output"
	expect_code 1 philotes status --json
	[ "$(jq -c '.snapshots, .snapshot_tables[0]' <<<"$output")" = \
'[{"source":"s","id":"new","state":"reading","begin":1,"chunk":1,"end":1,"failed":1,"cancelled":0,"rows":40010,"blocks":503,"of":1003,"failure":"public.y?z: denied"}]
{"source":"s","table":"public.big","rows":40000,"blocks":500,"of":1000,"rows_per_second":4000,"seconds_left":10}' ]
	# with a bar for each table on a terminal
	script -qec 'philotes status' /dev/null >"$BATS_TEST_TMPDIR/tty" || :
	grep -qE '^public\.big +\[#####\.\.\.\.\.\] 500 of 1000 ' \
		"$BATS_TEST_TMPDIR/tty"
	PHILOTES_SNAPSHOT_PAUSE=1m20ms philotes metrics >"$BATS_TEST_TMPDIR/prom"
	promtool check metrics <"$BATS_TEST_TMPDIR/prom" 2>&1 |
		refute grep snapshot
	grep '^philotes_snapshot' "$BATS_TEST_TMPDIR/prom" | diff - /dev/fd/9 9<<-'EOF'
		philotes_snapshot_pause_seconds{source="s"} 60.020000000
		philotes_snapshot_tables{source="s",state="begin"} 1
		philotes_snapshot_tables{source="s",state="chunk"} 1
		philotes_snapshot_tables{source="s",state="end"} 1
		philotes_snapshot_tables{source="s",state="failed"} 1
		philotes_snapshot_tables{source="s",state="cancelled"} 0
		philotes_snapshot_rows_total{source="s"} 40010
		philotes_snapshot_blocks_done{source="s"} 503
		philotes_snapshot_blocks{source="s"} 1003
	EOF
}

@test "what is left before its end is cancelled, and --wait says so" {
	under_way
	expect_code 0 philotes snapshot list
	[ "$(cut -f 3,4 <<<"$output")" = $'public.gone\tcancelled
public.x\tend
public.y?z\tfailed
public.big\tchunk
public.late\tbegin' ]
	script -qec 'philotes snapshot list' /dev/null >"$BATS_TEST_TMPDIR/tty"
	grep -qE '^SNAPSHOT +SOURCE +TABLE' "$BATS_TEST_TMPDIR/tty"
	grep -qE '^new +s +public\.big +chunk +\[#####\.\.\.\.\.\] 500 of 1000 ' \
		"$BATS_TEST_TMPDIR/tty"
	# done, so the two are not read any more
	buf_psql "INSERT INTO philotes.cdc_snapshots SELECT 's', 'new', '', '',
	    'done', 0, 0, 0, NULL, '0/9', NULL, max(changed_at)
	    FROM philotes.cdc_snapshots" 
	expect_code 1 philotes status --json
	[ "$(jq -c '.snapshots[0] | [.state, .chunk, .cancelled]' <<<"$output")" = \
	    '["done",0,2]' ]
	[ "$(jq -c .snapshot_tables <<<"$output")" = '[]' ]
	export PHILOTES_BIN=$BATS_TEST_TMPDIR/bin
	mkdir "$PHILOTES_BIN"
	printf '#!/bin/sh\necho "asked for snapshot \\"new\\" of"' \
		>"$PHILOTES_BIN/pg-cdc-read"
	chmod +x "$PHILOTES_BIN/pg-cdc-read"
	cp "$root/bin/pg-exec" "$PHILOTES_BIN"
	expect_code 69 philotes snapshot --all --wait
	[ "$(grep -c ': error: could not take a snapshot of "public' \
		<<<"$stderr")" = 3 ]
	[[ $stderr == *'"public.big": cancelled'* ]]
	# more tables than it has read: others have them
	buf_psql "DELETE FROM philotes.cdc_snapshots WHERE state NOT IN ('end', 'done')"
	expect_code 75 philotes snapshot x y --wait
	expect_error 'could not wait for "new": one that was asked for earlier has read'
	expect_code 0 philotes snapshot x --wait
}

@test "buffer-gc keeps the newest 100 snapshots of a source" {
	buf_psql "INSERT INTO philotes.cdc_sources (source_id) VALUES ('s');
	    INSERT INTO philotes.cdc_snapshots
	    SELECT s, 'n' || n, 'public', t, 'end', 0, 0, 0, NULL, NULL, NULL,
	        now() + n * interval '1 s'
	    FROM unnest('{s,forgotten}'::text[]) s, generate_series(1, 103) n,
	        unnest('{t,u}'::text[]) t"
	expect_code 0 buffer-gc
	[ "$(buf_psql "SELECT source_id, count(*), min(substr(id, 2)::int)
	    FROM philotes.cdc_snapshots GROUP BY 1")" = 's|200|4' ]
}
