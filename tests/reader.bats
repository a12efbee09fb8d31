#!/usr/bin/env bats
# pg-cdc-read alone: what it creates, what it prints, how it ends.

load helper

# A table, the publication and the slot.
prepare()
{
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
}

@test "--create makes publication and slot, says so, and may be repeated" {
	src_psql "CREATE TABLE a (id int PRIMARY KEY)"
	src_psql "CREATE TABLE b (id int)"
	src_psql "CREATE UNLOGGED TABLE c (id int PRIMARY KEY)"
	src_psql "CREATE TABLE d (id int); ALTER TABLE d REPLICA IDENTITY FULL"
	src_psql "CREATE TABLE \"E e\" (id int PRIMARY KEY) PARTITION BY RANGE (id)"
	src_psql "CREATE TABLE e1 PARTITION OF \"E e\" DEFAULT"
	src_psql "CREATE SCHEMA philotes; CREATE TABLE philotes.x (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	[[ $output == *'left out "public"."b": it has no primary key'* ]]
	[[ $output == *'left out "public"."c": it is unlogged'* ]]
	[[ $output == *'created publication "philotes_pub"'* ]]
	[[ $output == *"created slot \"$PHILOTES_SLOT\" at "* ]]
	[ "$(src_psql "SELECT string_agg(tablename, ',' ORDER BY tablename)
	    FROM pg_publication_tables")" = "a,d,e1" ]
	expect_code 0 pg-cdc-read --create
	[[ $output == *"exist"* && $output != *created* ]]
}

@test "--create --tables publishes the named tables, and extends a publication" {
	src_psql "CREATE TABLE a (id int PRIMARY KEY)"
	src_psql "CREATE TABLE b (id int PRIMARY KEY)"
	src_psql "CREATE SCHEMA s; CREATE TABLE s.\"C,c\" (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create --tables 'A,s."C,c"'
	local tables="SELECT string_agg(tablename, '|' ORDER BY tablename)
	    FROM pg_publication_tables"
	[ "$(src_psql "$tables")" = "C,c|a" ]
	expect_code 0 pg-cdc-read --create --tables b
	[ "$(src_psql "$tables")" = "C,c|a|b" ]
	expect_code 78 pg-cdc-read --create --tables nosuch
	expect_error '"public"."nosuch": there is no such table'
	src_psql "CREATE TABLE n (id int)"
	expect_code 78 pg-cdc-read --create --tables n
	expect_error '"public"."n": it has no primary key'
	expect_code 64 pg-cdc-read --create --tables 'a,'
	PHILOTES_TABLES='"a' expect_code 78 pg-cdc-read --create
}

@test "--create and --drop: two at once, unusual names on one line, foreign slots refused" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	src_psql $'CREATE TABLE "a\n\e[31mb" (v text)'
	child pg-cdc-read --create
	expect_code 0 pg-cdc-read --create
	wait "${children[-1]}"
	expect_code 0 pg-cdc-read --create
	[ "$output" = "left out \"public\".\"a??[31mb\": it has no primary key
publication \"philotes_pub\" and slot \"$PHILOTES_SLOT\" exist" ]
	# a slot of another database, and one of another kind
	src_psql "SELECT pg_drop_replication_slot('$PHILOTES_SLOT')"
	local make
	for make in "pg_create_logical_replication_slot('$PHILOTES_SLOT', 'pgoutput')" \
	    "pg_create_physical_replication_slot('$PHILOTES_SLOT')"; do
		server_psql src "SELECT $make"
		for option in --create --drop; do
			expect_code 78 pg-cdc-read $option
			expect_error 'it is not a pgoutput slot of this database'
		done
		server_psql src "SELECT pg_drop_replication_slot('$PHILOTES_SLOT')"
	done
	[ "$(src_psql "SELECT count(*) FROM pg_publication")" = 1 ]
}

@test "--create refuses a slot older than its publication; --drop and --create replace it" {
	prepare
	src_psql "DROP PUBLICATION philotes_pub"
	expect_code 69 pg-cdc-read --create
	expect_error 'the slot ".*" is older'
	expect_code 0 pg-cdc-read --drop
	expect_code 0 pg-cdc-read --create
	expect_code 0 pg-cdc-read --drop
	[ "$(src_psql "SELECT count(*) FROM pg_publication")" = 0 ]
}

@test "INSERT, UPDATE, DELETE and TRUNCATE are printed as lines" {
	prepare
	src_psql "INSERT INTO t VALUES (1, 'a'), (2, NULL)"
	src_psql "UPDATE t SET v = 'b' WHERE id = 1"
	src_psql "UPDATE t SET id = 3 WHERE id = 2"
	src_psql "DELETE FROM t WHERE id = 3"
	src_psql "TRUNCATE t RESTART IDENTITY"
	expect_code 0 pg-cdc-read --until now
	diff - <(jq -c '[.source_id, .schema_name, .table_name, .operation,
	    .key_columns, .before_data, .after_data, .metadata.seq,
	    .metadata.restart_identity]' <<<"$output") <<-END
	["postgres-t$BATS_TEST_NUMBER","public","t","INSERT",["id"],null,{"id":1,"v":"a"},1,null]
	["postgres-t$BATS_TEST_NUMBER","public","t","INSERT",["id"],null,{"id":2,"v":null},2,null]
	["postgres-t$BATS_TEST_NUMBER","public","t","UPDATE",["id"],null,{"id":1,"v":"b"},1,null]
	["postgres-t$BATS_TEST_NUMBER","public","t","UPDATE",["id"],{"id":2},{"id":3,"v":null},1,null]
	["postgres-t$BATS_TEST_NUMBER","public","t","DELETE",["id"],{"id":3},null,1,null]
	["postgres-t$BATS_TEST_NUMBER","public","t","TRUNCATE",["id"],null,null,1,true]
	END
	# the keys are in the documented order
	[ "$(head -n 1 <<<"$output" | jq -c keys_unsorted)" = \
	    '["source_id","schema_name","table_name","operation","lsn","transaction_id","key_columns","before_data","after_data","event_time","metadata"]' ]
}

@test "a value that was not sent is taken from the old row under FULL, else listed" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, n int, big text)"
	src_psql "ALTER TABLE t ALTER big SET STORAGE EXTERNAL"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1, 1, repeat('x', 9000))"
	src_psql "UPDATE t SET n = 2"
	src_psql "ALTER TABLE t REPLICA IDENTITY FULL"
	src_psql "UPDATE t SET n = 3"
	expect_code 0 pg-cdc-read --until now
	diff - <(tail -n 2 <<<"$output" | jq -c '[.after_data.n,
	    (.after_data | has("big")), (.after_data.big | length),
	    .metadata.unchanged]') <<-'END'
	[2,false,0,["big"]]
	[3,true,9000,null]
	END
}

@test "types: JSON literals where JSON has them, the server's text elsewhere" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, b bool, n numeric,
	    f float8, j jsonb, js json, a int[], x text[], ts timestamptz,
	    by bytea, d date)"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1, true, 12.50, '-0', '{\"k\": 1.0}',
	    E'{\"k\":\\n1}', '{{1,NULL}}', '{a,\"NULL\",NULL}',
	    '2026-01-02 03:04:05.6+02', '\\x00ff', '0044-03-15 BC')"
	src_psql "INSERT INTO t (id, f, n, js) VALUES (2, 'Infinity', 'NaN',
	    '{\"a\":1,\"a\":2}')"
	expect_code 0 pg-cdc-read --until now
	grep -F '"after_data":{"id":1,"b":true,"n":12.50,"f":"-0","j":{"k": 1.0},"js":{"k": 1},"a":[[1,null]],"x":["a","NULL",null],"ts":"2026-01-02 01:04:05.6+00","by":"\\x00ff","d":"0044-03-15 BC"}' <<<"$output"
	grep -F '"n":"NaN","f":"Infinity","j":null,"js":"{\"a\":1,\"a\":2}"' <<<"$output"
	grep -F '"json_text":["js"]' <<<"$output"
}

@test "without --ack nothing is confirmed, and the next run prints the same" {
	prepare
	src_psql "INSERT INTO t VALUES (1, 'a')"
	expect_code 0 pg-cdc-read --until now
	local first=$output
	expect_code 0 pg-cdc-read --until now
	[ -n "$first" ]
	[ "$first" = "$output" ]
	[[ $output != *control* ]]
}

@test "--tables filters, and seq counts the events left out" {
	prepare
	src_psql "CREATE TABLE u (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create --tables u
	src_psql "BEGIN; INSERT INTO t VALUES (1, 'a'); INSERT INTO u VALUES (7);
	    COMMIT"
	expect_code 0 pg-cdc-read --until now --tables u
	[ "$(jq -c '[.table_name, .metadata.seq]' <<<"$output")" = '["u",2]' ]
}

@test "--messages: logical decoding messages are events" {
	prepare
	src_psql "SELECT pg_logical_emit_message(true, 'p', 'text')"
	src_psql "SELECT pg_logical_emit_message(false, 'q', '\\x00ff'::bytea)"
	# a commit flushes the WAL, and with it the message
	src_psql "CREATE TABLE u ()"
	expect_code 0 pg-cdc-read --until now
	[ -z "$output" ]
	expect_code 0 pg-cdc-read --until now --messages
	diff - <(jq -c '[.operation, .table_name, .after_data, .metadata.seq]' \
	    <<<"$output") <<-'END'
	["MESSAGE","",{"prefix":"p","content":"text"},1]
	["MESSAGE","",{"prefix":"q","content":"\\x00ff"},1]
	END
}

# shellcheck disable=SC2016 # for another shell
@test "names of any kind" {
	src_psql 'CREATE SCHEMA "s ""q"""; CREATE TABLE "s ""q"""."t
	ü😀" ("k,\k" int PRIMARY KEY, "Ω" text)'
	expect_code 0 pg-cdc-read --create
	src_psql 'INSERT INTO "s ""q"""."t
	ü😀" VALUES (1, $$a"b\c$$)'
	expect_code 0 pg-cdc-read --until now
	[ "$(wc -l <<<"$output")" = 1 ]
	[ "$(jq -c '[.schema_name, .table_name, .key_columns, .after_data]' \
	    <<<"$output")" = '["s \"q\"","t\n\tü😀",["k,\\k"],{"k,\\k":1,"Ω":"a\"b\\c"}]' ]
}

@test "exit codes of slot, publication, server, password and options" {
	prepare
	expect_code 69 pg-cdc-read --slot nosuch
	expect_error 'replication slot "nosuch": it does not exist'
	expect_code 78 pg-cdc-read --publication nosuch
	expect_error 'publication "nosuch": it does not exist'
	PHILOTES_SOURCE_URL=host=/nonexistent expect_code 75 pg-cdc-read
	expect_error 'could not connect to the source'
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL dbname=nosuch" \
	    expect_code 78 pg-cdc-read
	PHILOTES_SOURCE_URL=bogus=1 expect_code 78 pg-cdc-read
	expect_code 64 pg-cdc-read --bogus
	expect_error 'unknown option "--bogus"'
	expect_code 64 pg-cdc-read --check=yes
	expect_error '--check takes no value'
	expect_code 64 pg-cdc-read --until 1/x
	expect_code 64 pg-cdc-read --create --drop
	expect_code 64 pg-cdc-read operand
	expect_code 78 pg-cdc-read --ack /dev/null
	expect_error 'neither a FIFO, a pipe nor a socket'
	expect_code 74 pg-cdc-read --ack "$BATS_TEST_TMPDIR/nosuch"
	unset PHILOTES_SOURCE_URL PHILOTES_BUFFER_URL
	expect_code 78 pg-cdc-read
	expect_error 'no database was given'
}

@test "an option without effect in a mode is 64, its variable is not" {
	prepare
	local mode option
	for mode in --create --drop --drop-slot --check --start-line \
	    "--new-tables warn"; do
		for option in "--source-id x" "--ack x" "--failures x" \
		    "--until now" --messages; do
			[[ $mode$option != --start-line--source-id* ]] || continue
			# shellcheck disable=SC2086 # words
			expect_code 64 pg-cdc-read $mode $option
			expect_error "${option%% *} has no effect with ${mode% *}"
		done
	done
	for mode in --create --drop --start-line; do
		expect_code 64 pg-cdc-read --heartbeat 1s $mode
		expect_error "--heartbeat has no effect with $mode"
	done
	for mode in --drop --start-line; do
		expect_code 64 pg-cdc-read "$mode" --tables t
		expect_error "--tables has no effect with $mode"
	done
	expect_code 64 pg-cdc-read --drop --check
	expect_error "only one of --create, --drop, --drop-slot, --check, --start-line and --new-tables"
	# variables are set for all programs of a pipeline
	export PHILOTES_SOURCE_ID=x PHILOTES_TABLES=t PHILOTES_HEARTBEAT=1s
	for mode in --create --check --start-line "--new-tables add" \
	    --drop-slot --drop; do
		# shellcheck disable=SC2086 # words
		expect_code 0 pg-cdc-read $mode --server-timeout 20s
	done
}

@test "--start-line prints the start line that --ack would begin with" {
	prepare
	local line
	mkfifo "$BATS_TEST_TMPDIR/acks"
	: >"$BATS_TEST_TMPDIR/acks" &
	line=$(pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" --until now | head -n 1)
	expect_code 0 pg-cdc-read --start-line
	[[ $(jq -c 'del(.flush)' <<<"$output") == "$(jq -c 'del(.flush)' <<<"$line")" ]]
	[[ $(jq -r .source_id <<<"$output") == "postgres-t$BATS_TEST_NUMBER" ]]
	expect_code 0 pg-cdc-read --start-line --source-id shop
	[[ $(jq -r .source_id <<<"$output") == shop ]]
	expect_code 74 sh -c 'pg-cdc-read --start-line >/dev/full'
	expect_code 69 pg-cdc-read --start-line --slot nosuch
	[[ -z $output ]]
}

@test "a wrong password is 77, and so is a role without REPLICATION" {
	prepare
	local data=$BATS_FILE_TMPDIR/src
	src_psql "CREATE ROLE guest LOGIN PASSWORD 'right'"
	sed -i '1i local all guest scram-sha-256' "$data/pg_hba.conf"
	src_psql "SELECT pg_reload_conf()"
	export PGPASSWORD=wrong
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=guest" \
	    expect_code 77 pg-cdc-read
	expect_error 'could not connect to the source: password authentication failed'
	PGPASSWORD=right PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=guest" \
	    expect_code 77 pg-cdc-read
	src_psql "DROP ROLE guest"
}

@test "a full disk or a closed stdout is 74" {
	prepare
	src_psql "INSERT INTO t SELECT i, repeat('x', 100)
	    FROM generate_series(1, 10000) i"
	expect_code 74 sh -c 'pg-cdc-read --until now >/dev/full'
	expect_error 'could not write "stdout": No space left on device'
	expect_code 74 bash -c 'set -o pipefail
	    pg-cdc-read --until now | head -n 1'
	expect_code 74 sh -c 'pg-cdc-read --until now >&-'
}

# shellcheck disable=SC2016 # for another shell
@test "an ack that was never sent, or garbage, is 76 and not confirmed" {
	prepare
	src_psql "INSERT INTO t VALUES (1, 'a')"
	local before ack
	before=$(src_psql "SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'")
	mkfifo "$BATS_TEST_TMPDIR/acks"
	for ack in FFFF/0 garbage "$(printf '%5000s' x)" 0/0x; do
		child sh -c 'printf "%s\n" "$1" >"$2"; exec sleep 60' - "$ack" \
		    "$BATS_TEST_TMPDIR/acks"
		expect_code 76 pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks"
		kill_children
	done
	[ "$(src_psql "SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'")" = "$before" ]
}

# shellcheck disable=SC2016 # for another shell
@test "the end of the ack channel is 74" {
	prepare
	mkfifo "$BATS_TEST_TMPDIR/acks"
	child sh -c ': >"$1"' - "$BATS_TEST_TMPDIR/acks"
	expect_code 74 pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks"
	expect_error 'end of file'
}

# shellcheck disable=SC2016 # for another shell
@test "an early failure unblocks a process that waits in the open of the ack FIFO" {
	mkfifo "$BATS_TEST_TMPDIR/acks"
	for args in --bogus "--until x" "--tables a,"; do
		child sh -c 'exec 3>"$1"' - "$BATS_TEST_TMPDIR/acks"
		# shellcheck disable=SC2086 # splits into words
		expect_code 64 pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" $args
		wait "${children[-1]}"
	done
	# nobody waits there, and the first error counts
	expect_code 64 pg-cdc-read --ack "$BATS_TEST_TMPDIR/missing" --bogus
	expect_error 'unknown option "--bogus"'
	expect_code 64 pg-cdc-read --ack /dev/null --bogus
	expect_error 'unknown option "--bogus"'
}

# Whether the pid runs pg-cdc-read by now and catches SIGTERM; the shell that
# becomes it might lose the signal.
catches_term()
{
	local mask
	[[ $(readlink "/proc/$1/exe") == */pg-cdc-read ]] || return 1
	mask=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status")
	((0x$mask & 0x4000)) && echo yes
}

@test "SIGTERM while the ack channel has no writer is 75" {
	prepare
	mkfifo "$BATS_TEST_TMPDIR/acks"
	child pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" 2>"$BATS_TEST_TMPDIR/log"
	local reader=$! code=0
	wait_for catches_term "$reader" yes
	kill -TERM "$reader"
	wait "$reader" || code=$?
	[ "$code" = 75 ]
}

@test "--tables with a partitioned table includes its partitions, and new ones" {
	src_psql "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)"
	src_psql "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)"
	src_psql "CREATE TABLE q (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	src_psql "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)"
	src_psql "INSERT INTO p VALUES (1), (11); INSERT INTO q VALUES (1)"
	expect_code 0 pg-cdc-read --until now --tables p
	[ "$(jq -r .table_name <<<"$output" | tr '\n' ' ')" = "p1 p2 " ]
	expect_code 0 pg-cdc-read --until now --tables q,p2
	[ "$(jq -r .table_name <<<"$output" | tr '\n' ' ')" = "p2 q " ]
	expect_code 78 pg-cdc-read --until now --tables q,nosuch
	expect_error '"public"."nosuch": it is not in the publication "philotes_pub"'
}

@test "--create checks the identity of partitions and children" {
	src_psql "CREATE TABLE p (id int, x int) PARTITION BY RANGE (id);
	    ALTER TABLE p REPLICA IDENTITY FULL"
	src_psql "CREATE TABLE p1 PARTITION OF p DEFAULT"
	src_psql "CREATE TABLE c (id int PRIMARY KEY)"
	src_psql "CREATE TABLE c1 () INHERITS (c)"
	src_psql "CREATE TABLE ok (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	[[ $output == *'"public"."p": of p1, it has no primary key'* ]]
	[[ $output == *'"public"."c": of c1, it has no primary key'* ]]
	[[ $output == *'created publication "philotes_pub": "public"."ok"'* ]]
}

@test "--create leaves a publication for all tables as it is" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create --tables t
	[[ $output != *"left out"* ]]
	[[ $output == *'created slot'* ]]
}

@test "seq is the same with --messages and without" {
	prepare
	src_psql "BEGIN; SELECT pg_logical_emit_message(true, 'p', 'x');
	    INSERT INTO t VALUES (1, 'a'); COMMIT"
	expect_code 0 pg-cdc-read --until now
	[ "$(jq .metadata.seq <<<"$output")" = 2 ]
	expect_code 0 pg-cdc-read --until now --messages
	[ "$(jq -c .metadata.seq <<<"$output" | tr '\n' ' ')" = "1 2 " ]
}

@test "--log-format json: one object a line" {
	expect_code 69 pg-cdc-read --slot nosuch --log-format json
	[ "$(jq -r '.tool + "|" + .level' <<<"$stderr" | tr '\n' ' ')" = \
	    'pg-cdc-read|error pg-cdc-read|hint ' ]
}

@test "a bad setting is 78, a bad option is 64, and no secret is shown" {
	local setting
	for setting in sslmode=bogus port=ab service=nosuch options=-cfoo \
	    replication=true \
	    'postgres://u:s3cr3t@[bad' 'postgres://u:s3cr3t%zz@h/db' \
	    'postgres//u:s3cr3t@h/db'; do
		[[ $setting == *//* ]] ||
			setting="host=$(cluster_sockets "$BATS_FILE_TMPDIR/src") user=postgres $setting"
		PHILOTES_SOURCE_URL=$setting expect_code 78 pg-cdc-read
		expect_error 'could not '
		[[ $stderr != *s3cr3t* ]]
	done
	PHILOTES_SLOT=Foo expect_code 78 pg-cdc-read
	expect_error 'slot "Foo"'
	expect_code 64 pg-cdc-read --slot Foo
	expect_code 64 pg-cdc-read --publication "$(printf '%064d' 1)"
	expect_code 64 pg-cdc-read --create --until now
}

@test "a publication of any name" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	export PHILOTES_PUBLICATION=$'a\\b\'c"d,e\nf'
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1)"
	expect_code 0 pg-cdc-read --until now
	[ "$(jq -c .after_data <<<"$output")" = '{"id":1}' ]
}

@test "a row filter of the publication that fails: 69, with the row's LSN" {
	since 15 "a filter of rows"
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)"
	src_psql "CREATE PUBLICATION philotes_pub FOR TABLE t WHERE (6 / v > 1)"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1, 2), (2, 0), (3, 3)"
	expect_code 69 pg-cdc-read --until now
	expect_error "at [0-9A-F]+/[0-9A-F]+ from slot \"$PHILOTES_SLOT\": the server cannot send it: division by zero$"
}

@test "a row that the server itself cannot send: 69, with LSN and slot" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v bytea)"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1, '')"
	# in hex it exceeds the gigabyte that a value may have
	src_psql "INSERT INTO t
	    VALUES (2, convert_to(repeat('x', 560000000), 'UTF8'))"
	src_psql "INSERT INTO t VALUES (3, '')"
	# earlier transactions are stored and acknowledged
	start_pipeline
	await_pipeline
	[ "$reader_code" = 69 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 1 ]
	stderr=$(<"$BATS_TEST_TMPDIR/reader.log")
	expect_error "could not read the change at [0-9A-F]+/[0-9A-F]+ from slot \"$PHILOTES_SLOT\": the server cannot send it: invalid memory alloc request size [0-9]+$"
	[[ $stderr == *"hint: "*pg_replication_slot_advance* ]]
	# after the slot is advanced past its commit the pipeline goes on, with
	# a gap that somebody accepts
	src_psql "SELECT pg_replication_slot_advance('$PHILOTES_SLOT',
	    pg_current_wal_insert_lsn())" >/dev/null
	src_psql "INSERT INTO t VALUES (4, '')"
	start_pipeline --until now
	await_pipeline
	[ "$writer_code" = 69 ]
	pipeline_writer()
	{
		exec buffer-write --accept-gap <"$BATS_TEST_TMPDIR/stream" \
		    >"$BATS_TEST_TMPDIR/acks"
	}
	start_pipeline --until now
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(buf_psql "SELECT string_agg(after_data->>'id', ' ' ORDER BY id)
	    FROM philotes.cdc_log")" = "1 4" ]
}

# Creates a table, inserts a row or two and drops it, that many times.
staging_sql()
{
	echo "DO \$\$ BEGIN FOR i IN 1 .. $1 LOOP
	        CREATE TABLE staging (id int PRIMARY KEY, v text);
	        INSERT INTO staging VALUES (i); COMMIT;
	        IF i % 2 = 0 THEN INSERT INTO staging VALUES (-i); COMMIT; END IF;
	        DROP TABLE staging; COMMIT;
	    END LOOP; END \$\$"
}

staging()
{
	src_psql "$(staging_sql "$1")"
}

@test "dropped tables are forgotten once all their changes have been read" {
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	# they are dropped before the reader starts
	staging 400
	child pg-cdc-read -v >"$BATS_TEST_TMPDIR/stream" \
		2>"$BATS_TEST_TMPDIR/log"
	wait_for lines_of "$BATS_TEST_TMPDIR/stream" 600
	# and dropped while it reads others
	staging 300
	src_psql "INSERT INTO t VALUES (1)"
	wait_for lines_of "$BATS_TEST_TMPDIR/stream" 1051
	awk '/forgot [0-9]+ dropped tables/ { for (i = 1; i < NF; i++)
	        if ($i == "forgot") n += $(i + 1) }
	    END { print n, "forgotten"; exit n < 400 }' "$BATS_TEST_TMPDIR/log"
	# a table that still exists is known as before
	src_psql "INSERT INTO t VALUES (2)"
	wait_for lines_of "$BATS_TEST_TMPDIR/stream" 1052
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/stream" | jq -c .after_data)" = \
	    '{"id":2}' ]
}

@test "a source that cannot be asked about dropped tables is asked again later" {
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	child pg-cdc-read -v >"$BATS_TEST_TMPDIR/stream" \
		2>"$BATS_TEST_TMPDIR/log"
	wait_for src_psql "SELECT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" t
	# from a session that began before
	child psql_on "$PHILOTES_SOURCE_URL" -c "DO \$\$ BEGIN
	    WHILE (SELECT datallowconn FROM pg_database
	           WHERE datname = current_database()) LOOP
	        PERFORM pg_sleep(0.01);
	    END LOOP; END \$\$" -c "$(staging_sql 300)"
	wait_for server_psql_src "SELECT count(*) FROM pg_stat_activity
	    WHERE query LIKE '%datallowconn%' AND pid <> pg_backend_pid()" 1
	server_psql src "ALTER DATABASE t$BATS_TEST_NUMBER
	    ALLOW_CONNECTIONS false"
	wait_for lines_of "$BATS_TEST_TMPDIR/stream" 450
	server_psql src "ALTER DATABASE t$BATS_TEST_NUMBER
	    ALLOW_CONNECTIONS true"
	grep 'info: could not connect to the source: .*not currently accepting' \
		"$BATS_TEST_TMPDIR/log"
	refute grep -E ': (error|hint):' "$BATS_TEST_TMPDIR/log"
	staging 300
	wait_for lines_of "$BATS_TEST_TMPDIR/stream" 900
	grep 'info: forgot' "$BATS_TEST_TMPDIR/log"
}

# shellcheck disable=SC2329 # called by wait_for
server_psql_src()
{
	server_psql src "$1"
}

# shellcheck disable=SC2329 # called by wait_for
lines_of()
{
	wc -l <"$1"
}
