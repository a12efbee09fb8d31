#!/usr/bin/env bats
# Commands that change a table while a snapshot reads it.  Each runs between two
# markers, behind a part at random; then the copy is the source, or the table is
# marked failed.  SEED repeats a run, BLOCKS=N runs them behind the part N.

load helper
load snapshot
load snapshot_gate

setup()
{
	use_ruled_reader
	seed=${SEED:-$((RANDOM % 10000))}
	RANDOM=$seed
	echo "# seed $seed" >&3
	databases_up
	src_psql "CREATE PUBLICATION philotes_pub
	    WITH (publish_via_partition_root)"
	pg-cdc-read --create
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/snapshot_copy.sql"
	start_pipeline
}

# make_table TABLE SQL PUBLISHED: 100 rows in some blocks
make_table()
{
	src_psql "${2:-CREATE TABLE $1 (id int PRIMARY KEY, v int NOT NULL,
	    pad text)}"
	src_psql "INSERT INTO $1 (id, v, pad)
	    SELECT i, i % 2, repeat('x', 300) FROM generate_series(1, 100) i"
	src_psql "ALTER PUBLICATION philotes_pub ADD TABLE $1 $3"
}

# compare TABLE: the copy and the source
compare()
{
	local columns
	columns=$(src_psql "SELECT array_agg(attname) FROM pg_attribute
	    WHERE attrelid = to_regclass('$1') AND attnum > 0
	      AND NOT attisdropped")
	diff <(buf_psql "SELECT * FROM copied('$1', '$columns')") \
		<(src_psql "SELECT jsonb_strip_nulls(to_jsonb(t))::text
		    FROM $1 t ORDER BY 1" | LC_ALL=C sort) >"$BATS_TEST_TMPDIR/diff"
}

# What became of the table: right, wrong, the reason of a failure, or none if
# the snapshot has said nothing
outcome()
{
	local state reason
	IFS='|' read -r state reason < <(buf_psql "SELECT after_data->>'state',
	    after_data->>'reason' FROM philotes.cdc_log
	    WHERE operation = 'SNAPSHOT' AND table_name = '$1'
	    ORDER BY id DESC LIMIT 1")
	case $state in
	failed) echo "$reason" ;;
	end) compare "$1" && echo right || echo wrong ;;
	*) echo none ;;
	esac
}

# change TABLE DDL [MADE_BY [PUBLISHED]]: the outcome of DDL in mid-snapshot
change()
{
	local n=${BLOCKS:-$((RANDOM % 4))} ended
	ended=$(count_marks "done")
	make_table "$1" "${3-}" "${4-}"
	request_at "[\"$1\"]"
	for (( ; n > 0; n--)); do
		step
	done
	psql_on "$PHILOTES_SOURCE_URL" <<<"$2"
	open_gate
	wait_for count_marks "done" $((ended + 1))
	close_gate
	result=$(outcome "$1")
	echo "$1: $result"
}

# changed OUTCOME TABLE ...: as change, and that is the outcome
changed()
{
	local want=$1
	shift
	change "$@"
	[[ $result == "$want" ]] || cat "$BATS_TEST_TMPDIR/diff" || :
	[[ $result == "$want" ]]
}

@test "a table is rewritten, or its columns change" {
	changed right plain "SELECT"
	changed right vacuumed "DELETE FROM vacuumed WHERE id % 3 = 0;
	    VACUUM FULL vacuumed"
	changed right clustered "UPDATE clustered SET v = 7 WHERE id > 90;
	    CLUSTER clustered USING clustered_pkey"
	changed right retyped "ALTER TABLE retyped ALTER v TYPE text"
	changed right added "ALTER TABLE added ADD c int; UPDATE added SET c = id
	    WHERE id % 4 = 0"
	changed right defaulted "ALTER TABLE defaulted ADD c int DEFAULT 5"
	changed right computed "ALTER TABLE computed ADD c float DEFAULT random()"
	changed right dropped "ALTER TABLE dropped DROP pad"
	changed right renamed "ALTER TABLE renamed RENAME v TO w"
	changed right truncated "TRUNCATE truncated"
	changed right refilled "TRUNCATE refilled; INSERT INTO refilled
	    SELECT i, 3 FROM generate_series(50, 150) i"
	changed right rekeyed "UPDATE rekeyed SET v = id + 1000;
	    CREATE UNIQUE INDEX other ON rekeyed (v);
	    ALTER TABLE rekeyed REPLICA IDENTITY USING INDEX other"
}

@test "a table goes, or another one comes in its place" {
	changed 'relation "public.gone" does not exist' gone "DROP TABLE gone"
	changed 'relation "public.moved" does not exist' moved \
		"ALTER TABLE moved RENAME TO elsewhere"
	changed right swapped "CREATE TABLE other (LIKE swapped INCLUDING ALL);
	    ALTER PUBLICATION philotes_pub ADD TABLE other;
	    INSERT INTO other SELECT i, 8 FROM generate_series(20, 300) i;
	    BEGIN; ALTER TABLE swapped RENAME TO swapped_old;
	    ALTER TABLE other RENAME TO swapped; COMMIT"
}

@test "what is published changes" {
	changed 'it is not published' withdrawn \
		"ALTER PUBLICATION philotes_pub DROP TABLE withdrawn"
	changed right beside "CREATE TABLE beside2 (id int PRIMARY KEY);
	    ALTER PUBLICATION philotes_pub ADD TABLE beside2"
	# what is changed in between is not in the stream
	changed right paused "ALTER PUBLICATION philotes_pub DROP TABLE paused;
	    UPDATE paused SET v = 6; DELETE FROM paused WHERE id < 5;
	    ALTER PUBLICATION philotes_pub ADD TABLE paused"
	(($(src_psql "SHOW server_version_num") >= 150000)) || return 0
	changed right widened "ALTER PUBLICATION philotes_pub SET TABLE widened" \
		"" "(id, v) WHERE (id % 2 = 0)"
}

partitioned()
{
	echo "CREATE TABLE $1 (id int, v int, pad text, PRIMARY KEY (id, v))
	    PARTITION BY LIST (v);
	    CREATE TABLE $1_b PARTITION OF $1 FOR VALUES IN (0);
	    CREATE TABLE $1_c PARTITION OF $1 FOR VALUES IN (1)"
}

@test "partitions come and go" {
	changed right created "CREATE TABLE created_a PARTITION OF created
	    FOR VALUES IN (5); INSERT INTO created SELECT i, 5
	    FROM generate_series(1, 300) i" "$(partitioned created)"
	changed right behind "CREATE TABLE behind_d PARTITION OF behind
	    FOR VALUES IN (5); INSERT INTO behind SELECT i, 5
	    FROM generate_series(1, 300) i" "$(partitioned behind)"
	changed right attached "CREATE TABLE attached_d (LIKE attached INCLUDING ALL);
	    INSERT INTO attached_d SELECT i, 5 FROM generate_series(1, 90) i;
	    ALTER TABLE attached ATTACH PARTITION attached_d FOR VALUES IN (5)" \
		"$(partitioned attached)"
	changed right leaf "UPDATE leaf SET v = 1 - v WHERE id % 3 = 0;
	    VACUUM FULL leaf_b, leaf_c" "$(partitioned leaf)"
}

@test "a partition that is being read is none any more" {
	local t
	for BLOCKS in 1 5; do
		t=renamed$BLOCKS
		changed right "$t" "ALTER TABLE ${t}_b RENAME TO ${t}_r;
		    ALTER TABLE ${t}_c RENAME TO ${t}_s" "$(partitioned "$t")"
		t=gone$BLOCKS
		changed right "$t" "DELETE FROM ${t}_b; DELETE FROM ${t}_c
		    WHERE id < 50; DROP TABLE ${t}_b" "$(partitioned "$t")"
		t=detached$BLOCKS
		changed right "$t" "DELETE FROM ${t}_b; DELETE FROM ${t}_c;
		    ALTER TABLE $t DETACH PARTITION ${t}_b;
		    ALTER TABLE $t DETACH PARTITION ${t}_c" \
			"$(partitioned "$t")"
	done
	BLOCKS=1
	changed 'relation "public.away" does not exist' away \
		"DROP TABLE away" "$(partitioned away)"
}

@test "pg_repack puts another file in a table's place" {
	local repack sockets
	[[ $(src_psql "SELECT count(*) FROM pg_available_extensions
	    WHERE name = 'pg_repack'") == 1 ]] ||
		skip "pg_repack is not installed for this server"
	repack=$(pg_bin pg_repack)
	sockets=$(cluster_sockets "$BATS_FILE_TMPDIR/src")
	src_psql "CREATE EXTENSION pg_repack"
	make_table repacked
	src_psql "INSERT INTO repacked SELECT i, i, repeat('x', 300)
	    FROM generate_series(101, 2000) i;
	    DELETE FROM repacked WHERE id % 3 = 0"
	request_at '["repacked"]'
	step
	# it waits for the transactions of others
	open_gate
	"$repack" -h "$sockets" -U postgres -p 5432 -d "$PHILOTES_SLOT" \
		-t repacked
	wait_for count_marks "done" 1
	close_gate
	[ "$(count_marks begin)" = 2 ]
	[ "$(outcome repacked)" = right ]
}
