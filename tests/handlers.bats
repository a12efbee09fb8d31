#!/usr/bin/env bats
# share/handlers/, as far as it needs no library of Python, each behind a
# pipeline.
#
# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup()
{
	databases_up
	dir=$BATS_TEST_TMPDIR
	mkdir "$dir/path"
	# the interpreter, not a script that looks for one
	ln -s /usr/bin/python3 "$dir/path/python3"
	PATH=$dir/path:$root/share/handlers:$PATH
	export PHILOTES_SOURCE_ID=shop
}

# Two tables that change, in the buffer.
load_shop()
{
	psql_on "$PHILOTES_SOURCE_URL" <<-'EOT'
	CREATE TABLE orders (id bigint PRIMARY KEY, status text,
	    amount numeric(30,2), at timestamptz, j jsonb, big text);
	ALTER TABLE orders ALTER big SET STORAGE EXTERNAL;
	CREATE TABLE "line s" (id int, k text, PRIMARY KEY (k, id));
	ALTER TABLE "line s" REPLICA IDENTITY FULL;
	INSERT INTO orders VALUES (7, 'old');
	CREATE PUBLICATION philotes_pub FOR ALL TABLES;
	EOT
	pg-cdc-read --create
	pg-cdc-read --snapshot orders
	start_pipeline --until snapshot
	await_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	psql_on "$PHILOTES_SOURCE_URL" <<-'EOT'
	INSERT INTO orders VALUES
	    (1, 'new', 12.50, '2026-11-22 13:12:35.5+00', '{"a": 1.00}',
	        repeat('x', 5000)),
	    (2, 'a "b" \ c', 'NaN', '-infinity', 'null', NULL),
	    (1000000000000000000, 'ä', 1234567890123456789012345.67, NULL, '"x"', ''),
	    (1000000000000000001, E'\x01\t', 'NaN', '0001-01-01 00:00+00 BC', '[]', '');
	UPDATE orders SET status = 'paid' WHERE id = 1;
	INSERT INTO "line s" VALUES (1, 'a'), (2, 'b'), (3, 'c');
	UPDATE "line s" SET id = 4 WHERE id = 2;
	DELETE FROM orders WHERE id = 2;
	UPDATE orders SET id = 3 WHERE id = 1000000000000000001;
	ALTER TABLE orders ADD note text;
	UPDATE orders SET note = 'n' WHERE id IN (1, 3);
	DELETE FROM "line s" WHERE id = 1;
	EOT
	start_pipeline --until now
	await_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	buffer-batch --from '#1' >"$dir/all"
	events=$(wc -l <"$dir/all")
	[ "$events" = 18 ]
}

# processed CONSUMER: has it passed all events?
processed()
{
	[ "$(buf_psql "SELECT sum(events) FROM philotes.cdc_batches
	    WHERE consumer = '$1'")" = "$events" ]
}

# http

# endpoint [ANSWER ...]: starts one that gives these answers
endpoint()
{
	local port
	mkfifo "$dir/port"
	answers "$@"
	touch "$dir/taken" "$dir/requests"
	child python3 "$root/tests/endpoint.py" "$dir"
	read -r port <"$dir/port"
	export HTTP_URL="http://127.0.0.1:$port/take?a=%22[1]"
}

answers()
{
	printf '%s\n' "$@" >"$dir/answers"
}

# What was answered, in order.
answered()
{
	awk '{print $2}' "$dir/requests" | xargs
}

@test "http: a batch is a POST of its lines, with a key" {
	load_shop
	endpoint
	mkdir "$dir/tmp"
	export TMPDIR=$dir/tmp
	expect_code 0 buffer-batch --once --batch-size 4 -- http
	cmp "$dir/taken" "$dir/all"
	[ "$(answered)" = "$(for ((n = 0; n < events; n += 4)); do echo 200; done |
	    xargs)" ]
	grep -qix 'content-type: application/x-ndjson' "$dir/headers"
	[ "$(awk '{print $3}' "$dir/requests" | sort | uniq -d)" = '' ]
	# another consumer has the same keys, so the endpoint takes nothing twice
	cp "$dir/requests" "$dir/before"
	expect_code 0 buffer-batch --once --batch-size 4 --consumer b -- http
	cmp "$dir/taken" "$dir/all"
	diff <(awk '{print $3}' "$dir/before") \
	    <(tail -n +"$(($(wc -l <"$dir/before") + 1))" "$dir/requests" |
	        awk '{print $3}')
	# with --schema the lines of it too
	: >"$dir/taken"
	expect_code 0 buffer-batch --schema --once --consumer c -- http
	grep '"control":"schema"' "$dir/taken"
	diff <(grep -v '"control":' "$dir/taken") "$dir/all"
	processed c
	[ -z "$(ls "$dir/tmp")" ]
}

# http_of "ID ..." VARIABLE=VALUE ...: of a batch with three ids
http_of()
{
	local ids
	read -ra ids <<<"$1"
	shift
	printf '{"id":%s}\n' "${ids[@]}" | env PHILOTES_BATCH_SOURCE=shop \
		PHILOTES_BATCH_FIRST_ID=1 PHILOTES_BATCH_LAST_ID=4 \
		PHILOTES_BATCH_EVENTS=3 "$@" http
}

http_with()
{
	http_of '1 2 4' "$@"
}

# shellcheck disable=SC2016 # for another shell
@test "http: the secrets of the URL and of HTTP_HEADERS are in no argument" {
	load_shop
	endpoint
	printf '#!/bin/sh\nprintf "%%s\\n" "$@" >>"%s"\nexec %s "$@"\n' \
		"$dir/arguments" "$(type -P curl)" >"$dir/path/curl"
	chmod +x "$dir/path/curl"
	echo 'Authorization: Bearer s3cret' >"$dir/secrets"
	export HTTP_HEADERS=$dir/secrets HTTP_URL="$HTTP_URL&token=s3cret\""
	expect_code 0 buffer-batch --once -- http
	grep -qx 'Authorization: Bearer s3cret' "$dir/headers"
	grep -q max-time "$dir/arguments"
	refute grep s3cret "$dir/arguments"
}

@test "http: what may pass is tried again, with the same key" {
	local at
	load_shop
	endpoint '429 1' 503 408 425 500 close lose 200 "503 $(LC_ALL=C date -uR \
	    -d '2 seconds')" slow
	export HTTP_TIMEOUT=3
	expect_code 0 buffer-batch --once --batch-size $((events - 1)) \
		--retries 0 -- http
	[ "$(answered)" = "429 503 408 425 500 close lose 200 503 slow 200" ]
	cmp "$dir/taken" "$dir/all"
	[ "$(awk '{print $3}' "$dir/requests" | uniq | wc -l)" = 2 ]
	# not before the time that Retry-After says
	mapfile -t at < <(awk '{printf "%.0f\n", $1 * 1000}' \
	    "$dir/requests")
	((at[1] - at[0] >= 1000))
	[[ $stderr == *"status 429: said?[0m by the endpoint?"* ]]
	# nobody listens
	kill "${children[-1]}"
	expect_code 75 http_with
	[[ $stderr == *"http: error: could not post the batch: no answer" ]]
}

@test "http: what the endpoint refuses is a dead letter" {
	load_shop
	endpoint
	echo '"status":"paid"' >"$dir/refuse"
	expect_code 0 buffer-batch --once --retries 0 --on-failure dead-letter \
		-- http
	[ "$(buf_psql "SELECT count(*), min(status),
	    bool_and(stderr LIKE '%status 400: said%') FROM philotes.cdc_dead_letters")" = \
	    '2|exit 65|t' ]
	diff <(sort -u "$dir/taken") <(grep -v '"status":"paid"' "$dir/all" | sort)
	rm "$dir/refuse"
	# letters that are not consecutive are no batch that was taken
	expect_code 0 buffer-batch --dead-letters -- http
	diff <(sort -u "$dir/taken") <(sort "$dir/all")
	answers 301
	expect_code 69 buffer-batch --once --consumer b --retries 0 -- http
	[[ $stderr == *"status 301"* ]]
}

@test "http: input that was cut off is not posted; keys; wrong settings" {
	endpoint
	expect_code 75 http_with PHILOTES_BATCH_EVENTS=4
	[[ $stderr == *"the input ended early"* ]]
	expect_code 78 http_with HTTP_URL=
	expect_code 78 http_with PHILOTES_BATCH_EVENTS=
	expect_code 78 http_with HTTP_HEADERS="$dir/none"
	expect_code 78 http_with HTTP_TIMEOUT=soon
	expect_code 78 http_with "HTTP_URL=file://$dir/all"
	expect_code 127 env PATH=/none "$root/share/handlers/http"
	[ -z "$(answered)" ]
	# a name that is no header
	expect_code 0 http_with PHILOTES_BATCH_SOURCE=$'a\r\nb: c ä'
	grep -q ' a%0D%0Ab%3A%20c%20%C3%A4-1-4-' "$dir/requests"
	# dead letters, of which the first and the last are those of a batch
	expect_code 0 http_with
	expect_code 0 http_of '1 3 4'
	[ "$(awk '{print $3}' "$dir/requests" | sort | uniq | wc -l)" = 3 ]
	[ "$(wc -l <"$dir/taken")" = 9 ]
}

# kafka

# A broker that lives in a kcat.
broker()
{
	local line
	mkfifo "$dir/broker"
	exec 7<>"$dir/broker"
	child kcat -C -b none -t none -X test.mock.num.brokers=1 \
		2>"$dir/broker" 7>&-
	IFS= read -r -t 10 line <&7
	export KAFKA_BROKERS=${line##* }
}

# topic NAME: the messages, KEY and a space and the line, in the order of ids as
# far as that is the order in their partitions
topic()
{
	kcat -C -q -b "$KAFKA_BROKERS" -t "$1" -o beginning -e -f '%p %k %s\n' |
		awk '{match($0, /[{]"id":[0-9]+/); id = substr($0, RSTART + 6, RLENGTH - 6)
			if (id + 0 <= last[$1])
				print "out of order"
			last[$1] = id + 0
			print id, $0}' | sort -n | cut -d ' ' -f 3-
}

@test "kafka: a message an event, a topic a table, the row's key" {
	local table
	load_shop
	broker
	export KAFKA_PREFIX=cdc
	expect_code 0 buffer-batch --schema --once --batch-size 7 -- kafka
	processed default
	for table in orders 'line s'; do
		diff <(topic "cdc.public.${table/ /_}" | sed 's/^.* {"id/{"id/') \
		    <(grep "\"table_name\":\"$table\"" "$dir/all")
	done
	[ "$(topic cdc | grep -c '"state":"done"')" = 1 ]
	# no digit is lost, and a SNAPSHOT is about the table
	topic cdc.public.orders >"$dir/orders"
	diff <(grep -v '"operation":"SNAPSHOT"' "$dir/orders" |
	    sed 's/ {"id.*//' | sort -u) - <<-'EOT'
	["shop","public","orders",1000000000000000000]
	["shop","public","orders",1000000000000000001]
	["shop","public","orders",1]
	["shop","public","orders",2]
	["shop","public","orders",3]
	["shop","public","orders",7]
	EOT
	[ "$(grep '"operation":"SNAPSHOT"' "$dir/orders" | sed 's/ {"id.*//' |
	    sort -u)" = '["shop","public","orders"]' ]
	# with a schema line the primary key counts, not all columns
	[ "$(topic cdc.public.line_s | head -n 1)" = \
	    "[\"shop\",\"public\",\"line s\",\"a\",1] $(grep -m 1 '"line s"' \
	    "$dir/all")" ]
}

@test "kafka: what is not acknowledged is tried again; what is too large is bad" {
	load_shop
	export KAFKA_BROKERS=127.0.0.1:1
	head -n 3 "$dir/all" >"$dir/batch"
	export PHILOTES_BATCH_EVENTS=3
	expect_code 75 kafka <"$dir/batch"
	[[ $stderr == *"kafka: error: could not send the batch: kcat ended with 1"* ]]
	expect_code 75 env PHILOTES_BATCH_EVENTS=4 kafka <"$dir/batch"
	expect_code 78 env KAFKA_BROKERS= kafka <"$dir/batch"
	expect_code 78 env -u PHILOTES_BATCH_EVENTS kafka <"$dir/batch"
	unset PHILOTES_BATCH_EVENTS
	broker
	export KAFKA_MAX_BYTES=5000
	expect_code 0 buffer-batch --once --retries 0 --on-failure dead-letter \
		-- kafka
	[ "$(buf_psql "SELECT id, status, stderr LIKE '%: event ' || id || ' has %'
	    FROM philotes.cdc_dead_letters")" = \
	    "$(grep xxxx "$dir/all" | jq .id)|exit 65|t" ]
}

# debezium.jq

@test "debezium.jq: an envelope for each change and each row" {
	load_shop
	expect_code 0 buffer-batch --schema --once --safe-numbers -- debezium.jq
	printf '%s\n' "$output" >"$dir/out"
	# jq before 1.7 loses zeros at the end
	diff <(jq -c '[.op, .source.table, .source.snapshot, .before, .after]' \
	    "$dir/out" | sed -E 's/x{5000}/x/; s/\.([0-9]*)0+\b/.\1/g; s/\.0?"/"/g') \
	    <(jq -c . <<-'EOT'
	["r","orders","incremental",null,{"id":7,"status":"old","amount":null,"at":null,"j":null,"big":null}]
	["c","orders","false",null,{"id":1,"status":"new","amount":"12.5","at":"2026-11-22 13:12:35.5+00","j":"{\"a\":1}","big":"x"}]
	["c","orders","false",null,{"id":2,"status":"a \"b\" \\ c","amount":"NaN","at":"-infinity","j":"null","big":null}]
	["c","orders","false",null,{"id":1000000000000000000,"status":"ä","amount":"1234567890123456789012345.67","at":null,"j":"\"x\"","big":""}]
	["c","orders","false",null,{"id":"1000000000000000001","status":"\u0001\t","amount":"NaN","at":"0001-01-01 00:00:00+00 BC","j":"[]","big":""}]
	["u","orders","false",null,{"id":1,"status":"paid","amount":"12.5","at":"2026-11-22 13:12:35.5+00","j":"{\"a\":1}","big":"__debezium_unavailable_value"}]
	["c","line s","false",null,{"id":1,"k":"a"}]
	["c","line s","false",null,{"id":2,"k":"b"}]
	["c","line s","false",null,{"id":3,"k":"c"}]
	["u","line s","false",{"id":2,"k":"b"},{"id":4,"k":"b"}]
	["d","orders","false",{"id":2},null]
	["u","orders","false",{"id":"1000000000000000001"},{"id":3,"status":"\u0001\t","amount":"NaN","at":"0001-01-01 00:00:00+00 BC","j":"[]","big":""}]
	["u","orders","false",null,{"id":1,"status":"paid","amount":"12.5","at":"2026-11-22 13:12:35.5+00","j":"{\"a\":1}","note":"n","big":"__debezium_unavailable_value"}]
	["u","orders","false",null,{"id":3,"status":"\u0001\t","amount":"NaN","at":"0001-01-01 00:00:00+00 BC","j":"[]","big":"","note":"n"}]
	["d","line s","false",{"id":1,"k":"a"},null]
	EOT
	)
	# the same when it comes again
	expect_code 0 buffer-batch --schema --once --safe-numbers --consumer b \
		--batch-size 1 -- debezium.jq
	diff "$dir/out" - <<<"$output"
}

@test "debezium.jq: source, times, TRUNCATE; without a schema line it fails" {
	cat >"$dir/lines" <<-'EOT'
	{"control":"schema","source_id":"shop","schema_name":"p","table_name":"t","columns":[]}
	{"id":1,"source_id":"shop","schema_name":"p","table_name":"t","operation":"TRUNCATE","lsn":"1A/B3C4","transaction_id":898,"key_columns":["id"],"before_data":null,"after_data":null,"event_time":"2026-11-23T01:12:40.133726Z","metadata":{"commit_lsn":"1A/C000","seq":1},"created_at":"2026-11-23T01:12:41.002000Z"}
	{"control":"checkpoint","ack":"1"}
	EOT
	expect_code 0 debezium.jq "$dir/lines"
	[ "$(jq -cS . <<<"$output")" = "$(jq -cS . <<-'EOT'
	{"before":null,"after":null,"transaction":null,"op":"t",
	 "source":{"version":"philotes","connector":"postgresql","name":"shop",
	   "ts_ms":1795396360133,"snapshot":"false","schema":"p","table":"t",
	   "txId":898,"lsn":111669195716},
	 "ts_ms":1795396361002}
	EOT
	)" ]
	[ $((0x1A0000B3C4)) = 111669195716 ]
	sed -i 1d "$dir/lines"
	expect_code 69 debezium.jq "$dir/lines"
	expect_error 'no schema line precedes an event of "p"."t": use --schema'
}

# singer

# The target's rows that are not deleted, as the source would print them.
in_target()
{
	python3 -c 'import json, sys
for row in json.load(open(sys.argv[1])).values():
    if not row["_sdc_deleted_at"]:
        print(*(row.get(name) or "" for name in sys.argv[2:]), sep="|")' \
		"$dir/target/public-$1.json" "${@:2}" | sort
}

# Singer has no NaN, no infinity and no years before Christ.
target_is_exact()
{
	diff <(in_target orders id status amount at j big note) \
	    <(src_psql "SELECT id, status, nullif(amount, 'NaN'), CASE WHEN at
	        BETWEEN '0001-01-01' AND '9999-12-31' THEN
	        to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF1\"+00:00\"') END,
	        replace(j::text, ': ', ':'), big, note FROM orders" | sort)
	diff <(in_target 'line s' id k) <(src_psql 'SELECT * FROM "line s"' |
	    sort)
}

to_target()
{
	buffer-batch --schema --serve --once "$@" -- singer python3 \
		"$root/tests/singer_target.py" "$dir/target"
}

@test "singer: a target has the source's rows, however often it is killed" {
	local n
	mkdir "$dir/target"
	load_shop
	expect_code 0 to_target --batch-size 3
	target_is_exact
	cp -r "$dir/target" "$dir/first"
	for n in {2..22..4}; do
		echo "$n" >"$dir/target/die"
		expect_code 0 to_target --batch-size 4 --consumer "c$n" \
			--retries 1
		[ ! -e "$dir/target/die" ]
		[[ $stderr == *"singer"*"exited with 137"* ]]
		target_is_exact
	done
}

@test "singer: the messages; what cannot be told; what is no target" {
	cat >"$dir/lines" <<-'EOT'
	{"control":"start"}
	{"control":"schema","source_id":"s","schema_name":"p","table_name":"t","primary_key":["id"],"key_columns":["a","id"],"replica_identity":"full","columns":[{"name":"id","type":"bigint"},{"name":"n","type":"numeric(12,2)"},{"name":"a","type":"numeric[]"},{"name":"d","type":"timestamp without time zone"},{"name":"b","type":"boolean"},{"name":"e","type":"date"},{"name":"i","type":"date"}]}
	{"id":1,"source_id":"s","schema_name":"p","table_name":"t","operation":"UPDATE","before_data":{"id":1,"n":"-Infinity","a":null,"b":true},"after_data":{"id":2,"n":1234567890123456789.50,"a":[1.50,"NaN"],"d":"2026-11-22 13:12:35","b":false,"e":"2026-11-22","i":"infinity"},"event_time":"T","metadata":{}}
	{"id":2,"source_id":"s","schema_name":"p","table_name":"t","operation":"TRUNCATE","before_data":null,"after_data":null,"metadata":{}}
	{"id":3,"source_id":"s","schema_name":"","table_name":"","operation":"SNAPSHOT","before_data":null,"after_data":{},"metadata":{}}
	{"control":"checkpoint","ack":"3"}
	EOT
	# shellcheck disable=SC2016 # for another shell
	expect_code 0 singer sh -c 'tee "$0" | jq -c "select(.value).value"' \
		"$dir/messages" <"$dir/lines"
	[ "$output" = 3 ]
	[ "$stderr" = "singer: warning: p-t was truncated, which the target is not told" ]
	diff "$dir/messages" - <<-'EOT'
	{"type":"SCHEMA","stream":"p-t","schema":{"type":"object","properties":{"_sdc_deleted_at":{"type":["null","string"],"format":"date-time"},"philotes_id":{"type":["null","integer"]},"philotes_unfit":{"type":["null","string"]},"id":{"type":["null","integer"]},"n":{"type":["null","number"]},"a":{"type":["null","string"]},"d":{"type":["null","string"],"format":"date-time"},"b":{"type":["null","boolean"]},"e":{"type":["null","string"],"format":"date"},"i":{"type":["null","string"],"format":"date"}}},"key_properties":["id"]}
	{"type":"RECORD","stream":"p-t","record":{"id":1,"n":null,"a":null,"b":true,"philotes_unfit":"{\"n\":\"-Infinity\"}","_sdc_deleted_at":"T","philotes_id":1}}
	{"type":"RECORD","stream":"p-t","record":{"id":2,"n":1234567890123456789.50,"a":"[1.50,\"NaN\"]","d":"2026-11-22T13:12:35","b":false,"e":"2026-11-22","i":null,"philotes_unfit":"{\"i\":\"infinity\"}","_sdc_deleted_at":null,"philotes_id":1}}
	{"type":"STATE","value":{"ack":"3"}}
	EOT
	expect_code 76 singer cat <"$dir/lines"
	expect_code 64 singer <"$dir/lines"
	expect_code 127 singer no-such-target <"$dir/lines"
	expect_code 3 singer sh -c 'exec <&-; exit 3' <"$dir/lines"
	sed -i 2d "$dir/lines"
	expect_code 69 singer cat <"$dir/lines"
	expect_error 'no schema line of p-t came before its event'
	# a line that was cut off is no message
	printf '{"control":"schema"' >"$dir/lines"
	expect_code 0 singer cat <"$dir/lines"
}
