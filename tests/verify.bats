#!/usr/bin/env bats
# scripts/verify: it accepts correct events, and finds what is wrong.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

# Changes of keys, keys of several columns, tables without a key, values that
# were not sent, JSON that is sent as text.
workload()
{
	psql_on "$PHILOTES_SOURCE_URL" <<-'EOF'
	INSERT INTO t SELECT g, 'v' || g, g / 7.0, g / 3.0::float8,
	    '{"a" : 1, "a":2}', '{"k":[1,2.50]}', repeat('x', 5000) || g,
	    ARRAY[g, NULL, 2] FROM generate_series(1, 100) g;
	UPDATE t SET v = NULL WHERE id % 3 = 0;
	UPDATE t SET id = id + 1000 WHERE id % 5 = 0;
	UPDATE t SET id = id + 1000, v = 'twice' WHERE id % 7 = 0 AND id > 1000;
	UPDATE t SET big = repeat('y', 4000) WHERE id % 11 = 0;
	UPDATE t SET n = 12.50, f = 'nan', jb = '"str"' WHERE id % 13 = 0;
	UPDATE t SET j = E'{"a":"\\u0000"}', jb = NULL WHERE id % 17 = 0;
	DELETE FROM t WHERE id % 4 = 0;
	INSERT INTO t (id, v) VALUES (4, 'again'), (8, 'again');
	INSERT INTO keys SELECT g % 10, 'b' || g, 'c' FROM generate_series(1, 50) g;
	UPDATE keys SET b = 'moved' || b WHERE a = 3;
	UPDATE keys SET a = 77 WHERE a = 5;
	DELETE FROM keys WHERE a = 7;
	INSERT INTO bag SELECT g % 3, 'dup', '[1]' FROM generate_series(1, 30) g;
	DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE x = 1 LIMIT 4);
	UPDATE bag SET y = 'z'
	WHERE ctid IN (SELECT ctid FROM bag WHERE x = 2 LIMIT 3);
	INSERT INTO emptied VALUES (1), (2);
	TRUNCATE emptied;
	INSERT INTO emptied VALUES (9);
	EOF
}

setup()
{
	databases_up
	events=$BATS_TEST_TMPDIR/events
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2),
	    f float8, j json, jb jsonb, big text, a int[],
	    ts timestamptz DEFAULT now());
	    ALTER TABLE t ALTER big SET STORAGE external;
	    CREATE TABLE keys (a int, b text, c text,
	        g int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (a, b));
	    CREATE TABLE bag (x int, y text, doc json);
	    ALTER TABLE bag REPLICA IDENTITY FULL;
	    CREATE TABLE emptied (x int PRIMARY KEY)"
	pg-cdc-read --create
	workload
	pg-cdc-read --until now 2>"$BATS_TEST_TMPDIR/log" |
		sed '=' | sed 'N; s/\n{/,/; s/^/{"id":/' >"$events" || :
}

# taken_again LIST|all: a snapshot with a slot of its own, as plain lines
taken_again()
{
	pg-cdc-read --drop >/dev/null
	[[ -z ${in_the_gap-} ]] || src_psql "$in_the_gap"
	pg-cdc-read --create --snapshot "$1" >/dev/null
	pg-cdc-read --until snapshot 2>>"$BATS_TEST_TMPDIR/log"
}

@test "the events of every kind of change add up to the tables" {
	grep -q '"unchanged":\["big"\]' "$events"
	grep -q '"json_text":\["j"\]' "$events"
	expect_code 0 verify "$events"
	[[ $output == "events $(grep -c . "$events")
lost 0
duplicated 0
reordered 0" ]]
	# no temporary table stays
	[[ $(src_psql "SELECT count(*) FROM pg_class WHERE relpersistence = 't'") \
	    == 0 ]]
}

@test "the same id again is no duplicate, the same event with another id is" {
	cat "$events" "$events" >"$events.twice"
	expect_code 0 verify "$events.twice"
	{
		cat "$events"
		tail -n 1 "$events" | sed 's/"id":[0-9]*/"id":99999/'
	} >"$events.other"
	expect_code 1 verify "$events.other"
	[[ $output == *"duplicated 1"* ]]
}

@test "a missing event is reported as lost rows, and so is a changed row" {
	sed 50d "$events" >"$events.gap"
	expect_code 1 verify "$events.gap"
	[[ $stderr == "table public.t: "* && $output != *"lost 0"* ]]
	src_psql "UPDATE emptied SET x = 10"
	expect_code 1 verify "$events"
	[[ $stderr == "table public.emptied: 1 rows missing, 1 too many" ]]
	[[ $output == *"lost 2"* ]]
}

@test "an event before its turn is reordered" {
	{
		sed -n 2p "$events"
		sed 2d "$events"
	} >"$events.early"
	expect_code 1 verify "$events.early"
	[[ $output == *"reordered 1"* ]]
}

@test "a file that is not events is 75, wrong usage is 64" {
	echo nonsense >"$events"
	expect_code 75 verify "$events"
	expect_code 64 verify
	expect_code 64 verify /nonexistent
}

@test "a missing or empty publication, or nothing to compare, is an error" {
	expect_code 78 verify --publication nosuch "$events"
	expect_error '"nosuch": it does not exist'
	[[ $output == "" ]]
	src_psql "CREATE PUBLICATION nothing"
	expect_code 78 verify --publication nothing "$events"
	expect_error '"nothing": it has no tables'
	src_psql "CREATE TABLE empty (id int PRIMARY KEY);
	    CREATE PUBLICATION emptiness FOR TABLE empty"
	: >"$events.none"
	expect_code 1 verify --publication emptiness "$events.none"
	expect_error 'neither rows nor events'
	# events of other tables do not count
	expect_code 1 verify --publication emptiness "$events"
	expect_error 'neither rows nor events'
	[[ $stderr == *"table public.bag: "*" events not compared: it is not in"* ]]
	# a table whose rows are all deleted again is something to compare
	src_psql "ALTER PUBLICATION philotes_pub ADD TABLE empty"
	src_psql "INSERT INTO empty VALUES (1); DELETE FROM empty"
	pg-cdc-read --until now | jq -c '{id: input_line_number} + .' >"$events"
	expect_code 0 verify --publication emptiness "$events"
}

@test "control lines are ignored, incomplete events are 75" {
	{
		echo '{"control":"start","source_id":"s"}'
		cat "$events"
		echo '{"control":"checkpoint","ack":"0/1"}'
	} >"$events.control"
	expect_code 0 verify "$events.control"
	[[ $output == "events $(grep -c . "$events")"$'\n'* ]]
	local line
	line=$(head -n 1 "$events")
	for part in .source_id .metadata.seq .metadata; do
		jq -c "del($part)" <<<"$line" >"$events.part"
		expect_code 75 verify "$events.part"
	done
}

@test "lines without an id come from a reader: each event once" {
	sed 's/^{"id":[0-9]*,/{/' "$events" >"$events.plain"
	expect_code 0 verify "$events.plain"
	tail -n 2 "$events.plain" >"$events.two"
	cat "$events.two" >>"$events.plain"
	expect_code 1 verify "$events.plain"
	grep -x 'duplicated 2' <<<"$output"
	# and one beside the same event with an id
	tail -n 1 "$events" >"$events.one"
	sed 's/^{"id":[0-9]*,/{/' "$events.one" >>"$events"
	expect_code 1 verify "$events"
	grep -x 'duplicated 1' <<<"$output"
}

@test "a snapshot beside changes adds up to the tables, unless a READ is missing" {
	src_psql "CREATE TABLE whole (a int NOT NULL UNIQUE, b text);
	    ALTER TABLE whole REPLICA IDENTITY FULL;
	    INSERT INTO whole SELECT n, repeat('w', 5000) FROM generate_series(1, 60) n;
	    INSERT INTO whole VALUES (1000, 'nobody touches it');
	    CREATE SEQUENCE over;
	    CREATE PROCEDURE load() LANGUAGE plpgsql AS \$\$
	    DECLARE
	        i int := 0;
	    BEGIN
	        WHILE NOT (SELECT is_called FROM over) LOOP
	            i := i + 1;
	            UPDATE t SET n = i % 100 WHERE id = i % 100;
	            UPDATE t SET id = id + 10000 WHERE id = i % 70;
	            UPDATE t SET id = id - 10000, n = 7 WHERE id = 10000 + i % 70;
	            UPDATE whole SET a = -a WHERE abs(a) = i % 400;
	            DELETE FROM keys WHERE b = 'b' || i % 50;
	            INSERT INTO keys VALUES (i % 10, 'b' || i % 50, i);
	            IF i % 20 = 0 THEN
	                INSERT INTO bag VALUES (i % 3, 'late', '[1]');
	                UPDATE bag SET y = 'both' WHERE x = i % 4 AND y <> 'both';
	            END IF;
	            COMMIT;
	            PERFORM pg_sleep(0.003);
	        END LOOP;
	    END \$\$"
	pg-cdc-read --drop
	pg-cdc-read --create --snapshot all
	child psql_on "$PHILOTES_SOURCE_URL" -c "CALL load()"
	local load=$!
	child exec_reader
	wait_for has_line '"state":"done"' 1
	src_psql "SELECT nextval('over')" >/dev/null
	wait "$load"
	src_psql "INSERT INTO emptied VALUES (99)"
	wait_for has_line '"after_data":{"x":99}' 1
	expect_code 0 verify "$events"
	# as much as one row that nothing else has touched
	grep -v '"operation":"READ".*"after_data":{"a":1000,' "$events" >"$events.gap"
	(($(wc -l <"$events.gap") == $(wc -l <"$events") - 1))
	expect_code 1 verify "$events.gap"
	[[ $stderr == "table public.whole: 1 rows missing, 0 too many" ]]
	[[ $output == *"lost 1"* ]]
}

exec_reader()
{
	exec pg-cdc-read >"$events" 2>>"$BATS_TEST_TMPDIR/log"
}

has_line()
{
	grep -c "$1" "$events"
}

@test "what was deleted in a gap goes at the end of the snapshot after it" {
	in_the_gap="DELETE FROM t WHERE id = 4; UPDATE t SET v = 'gap' WHERE id = 8;
	    DELETE FROM bag WHERE x = 1; INSERT INTO bag VALUES (2, 'dup', '[1]');
	    UPDATE keys SET b = 'gap' WHERE b = 'b1'" taken_again all >"$events.late"
	expect_code 1 verify "$events"
	cat "$events" "$events.late" >"$events.all"
	expect_code 0 verify "$events.all"
	# without the end nothing is known to be gone
	grep -v '"table_name":"t".*"state":"end"' "$events.all" >"$events.open"
	expect_code 1 verify "$events.open"
	[[ $stderr == "table public.t: 0 rows missing, 1 too many
table public.t: its last snapshot did not end" ]]
	# a second begin voids the rows that were read before it
	jq -c 'select(.table_name == "t" and .after_data.state == "end")
	    | .after_data.state = "begin" | .metadata.seq = 0' "$events.late" \
		>"$events.begin"
	cat "$events.all" "$events.begin" >"$events.void"
	expect_code 1 verify "$events.void"
	[[ $stderr == "table public.t: "*" rows missing, 0 too many" ]]
}

@test "a value from before the gap is no substitute for a READ" {
	src_psql "DELETE FROM t WHERE id <> 1;
	    UPDATE t SET big = repeat('z', 5000)"
	pg-cdc-read --until now >"$events"
	taken_again t >"$events.late"
	src_psql "UPDATE t SET v = 'later'"
	pg-cdc-read --no-snapshot --until now | grep '"later"' >"$events.later"
	grep -q '"unchanged":\["big"\]' "$events.later"
	cat "$events.late" "$events.later" >>"$events"
	expect_code 0 verify "$events"
	grep -v '"READ"' "$events" >"$events.unread"
	expect_code 1 verify "$events.unread"
	[[ $stderr == "table public.t: 1 rows missing, 1 too many" ]]
}

# bag_snapshot LSN: what a snapshot of the bag puts into the stream
bag_snapshot()
{
	{
		echo begin
		src_psql "SELECT to_json(bag) FROM bag"
		echo end
	} | jq -cR --arg lsn "$1" 'input_line_number as $n | . as $text |
	    (if startswith("{") then ["READ", fromjson]
	     else ["SNAPSHOT", {id: "a", state: .}] end) as [$op, $data] |
	    {source_id: "s", schema_name: "public", table_name: "bag",
	     operation: $op, lsn: $lsn, before_data: null, after_data: $data,
	     key_columns: (if $op == "READ" then ["x", "y", "doc"] else null end),
	     metadata: {commit_lsn: $lsn, seq: $n}}'
}

@test "a table without a key has the rows of its snapshot, equal ones too" {
	src_psql "DROP TABLE t, keys, emptied"
	bag_snapshot FFFF/10 >"$events.bag"
	expect_code 0 verify "$events.bag"
	cat "$events" "$events.bag" >"$events.both"
	expect_code 0 verify "$events.both"
	sed 5d "$events.bag" >"$events.less"
	expect_code 1 verify "$events.less"
	[[ $stderr == "table public.bag: 1 rows missing, 0 too many"* ]]
	# of a snapshot that has not ended nothing counts
	sed '$d' "$events.both" >"$events.open"
	expect_code 0 verify "$events.open"
	bag_snapshot FFFF/20 >>"$events.both"
	expect_code 0 verify "$events.both"
}
