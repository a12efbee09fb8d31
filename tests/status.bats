#!/usr/bin/env bats
# scripts/philotes: status, metrics, check and consumer.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup()
{
	databases_up
	out=$BATS_TEST_TMPDIR/out
	export PHILOTES_BUFFER_FLUSH_INTERVAL=100ms NO_COLOR=1
	export PHILOTES_SOURCE_ID=shop
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
}

teardown()
{
	kill_children
	remove_locks
	cluster_remove "$PHILOTES_STATE_DIR/buffer"
	databases_down
}

start_philotes()
{
	child exec_philotes
	supervisor=$!
}

exec_philotes()
{
	exec philotes run >>"$out" 2>"$out.log"
}

stop_philotes()
{
	kill -TERM "$supervisor"
	wait "$supervisor"
}

# said TEXT: the number of lines of status that have it
said()
{
	philotes status | grep -cF "$1" || :
}

changes()
{
	src_psql "INSERT INTO t SELECT n, n FROM generate_series($1, $2) n"
}

# field FILTER: prints a part of the status in JSON
field()
{
	philotes status --json | jq -r "$1"
}

# filled COUNT: stores and processes that many events, without a supervisor
filled()
{
	philotes init
	changes 1 "$1"
	start_pipeline --until now
	await_pipeline
	buffer-batch --once >"$out"
}

@test "a running pipeline is healthy, and status tells the facts" {
	local facts
	philotes init
	start_philotes
	changes 1 250
	wait_for field '.consumers[0].events' 250
	wait_for field '.slot.state' active
	expect_code 0 philotes status --json
	[[ $(wc -l <<<"$output") == 1 ]]
	facts=$output
	is() { [[ $(jq -r "$1" <<<"$facts") == "$2" ]] || {
		echo "$1 is not $2: $facts"; return 1; }; }
	is .healthy true
	is '.problems | length' 0
	is .source shop
	is .supervisor running
	is .slot.name "$PHILOTES_SLOT"
	is .slot.state active
	is .slot.wal_status reserved
	is .sources[0].source shop
	is .sources[0].events 250
	is '.sources[0].events_per_second > 0' true
	is .consumers[0].consumer default
	is .consumers[0].lag_events 0
	is '.consumers[0].lag_seconds == 0' true
	is .consumers[0].lag_bytes 0
	is .consumers[0].dead_letters 0
	is '.buffer.partitions >= 3' true
	is '.buffer.bytes > 100000' true
	is .buffer.schema_version 6
	is '[.stages[].state] | unique[]' running
	is '.stages | length' 5
	is '.stages[1].stage' pg-cdc-read
	is '.stages[1].restarts' 0
	# the text has the same facts
	expect_code 0 philotes status
	[[ $output == "shop: healthy, "* ]]
	[[ $output =~ slot\ +t[0-9]+\ active ]]
	grep -qE '^shop +[0-9A-F]+/[0-9A-F]+ +250 ' <<<"$output"
	grep -qE '^default +[0-9A-F]+/' <<<"$output"
	grep -qE '^buffer-gc +running ' <<<"$output"
	[[ $output != *$'\e'* && $(wc -l <<<"$output") -lt 24 ]]
	stop_philotes
	expect_code 1 philotes status --json
	[[ $output == *'"problems":["philotes run has stopped, exit 0"]'* ]]
}

@test "each problem makes the status degraded and is named" {
	filled 10
	# without a supervisor, as under cron, there is no problem
	expect_code 0 philotes status
	# a consumer that is late
	buf_psql "SELECT philotes.add_consumer('slow')" >/dev/null
	expect_code 0 philotes status
	expect_code 1 philotes status --max-lag 0s
	[[ $output == *'consumer "slow" is '*' s behind in "shop"'* ]]
	[[ $(field '.consumers[] | select(.consumer == "slow").lag_events') == 10 ]]
	[[ $(field '.consumers[] | select(.consumer == "slow").lag_bytes >= 0') == true ]]
	buf_psql "SELECT philotes.drop_consumer('slow')" >/dev/null
	# a consumer whose handler fails
	buf_psql "INSERT INTO philotes.cdc_retries (consumer, source_id, first_id,
	    last_id, attempts, status)
	    VALUES ('default', 'shop', 1, 2, 3, 'exit 9')"
	expect_code 1 philotes status
	[[ $output == *'consumer "default" fails in "shop": exit 9'* ]]
	buf_psql "DELETE FROM philotes.cdc_retries"
	# a supervisor that was killed
	start_philotes
	wait_for field .supervisor running
	wait_for field .slot.state active
	expect_code 0 philotes status
	kill -KILL "$supervisor"
	wait "$supervisor" || :
	expect_code 1 philotes status
	[[ $output == *"philotes run has been killed"* ]]
	# no slot, no source, no buffer
	databases_quiet
	src_psql "SELECT pg_drop_replication_slot('$PHILOTES_SLOT')"
	expect_code 1 philotes status
	[[ $output == *"there is no slot \"$PHILOTES_SLOT\""* ]]
	expect_code 1 env PHILOTES_SOURCE_URL=host=/nowhere philotes status
	[[ $output == *"the source does not answer: "* ]]
	expect_code 1 env PHILOTES_BUFFER_URL=host=/nowhere philotes status --json
	[[ $(jq -r '.buffer, (.problems | length)' <<<"$output") == $'null\n3' ]]
}

databases_quiet()
{
	wait_for src_psql "SELECT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" f
}

@test "a stage that waits for its restart makes the status degraded" {
	philotes init
	PHILOTES_HANDLER='exit 75' start_philotes
	wait_for field '.slot.state' active
	kill_server buf
	wait_for said "buffer-write: waiting, " 1
	expect_code 1 philotes status
	[[ $output == *"the buffer does not answer: "* ]]
	start_server buf
	stop_philotes
}

@test "names of any kind are shown, in valid JSON and valid labels" {
	filled 3
	buf_psql 'SELECT philotes.add_consumer(E'\''a"b\\c\x1fd\ne ü'\'')' \
		>/dev/null
	[[ $(field '.consumers[0].consumer') == 'a"b\c?d?e ü' ]]
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    VALUES (E'kind\t=\r\n\\\\ ü ', '', '', 'INSERT', '', now())"
	[[ $(field '.sources[0].source') == 'kind?=??\ ü ' ]]
	[[ $(field '.sources[0].events, .sources[1].events' | xargs) == "1 3" ]]
	philotes metrics >"$out.prom"
	grep -F 'consumer="a\"b\\c?d?e ü"' "$out.prom"
	check_metrics "$out.prom"
}

# promtool has one objection, to a name that is given: it ends in _count.
check_metrics()
{
	promtool check metrics <"$1" >"$1.said" 2>&1 || :
	refute grep -v '^philotes_partition_count .*"_count" suffix' "$1.said"
}

@test "metrics: valid for Prometheus, with the figures of the ledgers" {
	local metrics=$BATS_TEST_TMPDIR/philotes.prom name
	philotes init
	start_philotes
	changes 1 40
	wait_for field '.consumers[0].events' 40
	expect_code 0 philotes metrics
	printf '%s\n' "$output" >"$metrics"
	check_metrics "$metrics"
	for name in philotes_cdc_events_total philotes_cdc_lag_seconds \
	    philotes_cdc_errors_total philotes_cdc_pipeline_state \
	    philotes_buffer_depth philotes_buffer_batches_total \
	    philotes_buffer_events_processed_total philotes_buffer_dlq_total \
	    philotes_slot_retained_bytes philotes_partition_count; do
		grep -q "^# HELP $name ." "$metrics"
		grep -q "^# TYPE $name " "$metrics"
		grep -qE "^$name(\{.*\})? [0-9.]+\$" "$metrics"
	done
	has() { grep -qxF "$1" "$metrics" || { echo "no $1"; return 1; }; }
	has 'philotes_cdc_events_total{source="shop"} 40'
	has 'philotes_buffer_depth{source="shop",consumer="default"} 0'
	has 'philotes_buffer_events_processed_total{source="shop",consumer="default"} 40'
	has 'philotes_cdc_pipeline_state{source="shop",state="running"} 1'
	has 'philotes_cdc_pipeline_state{source="shop",state="stopped"} 0'
	has 'philotes_cdc_errors_total{source="shop",stage="buffer-write"} 0'
	has 'philotes_stage_up{source="shop",stage="pg-cdc-read"} 1'
	refute grep -q 'batches_total{.*} 0$' "$metrics"
	stop_philotes
	expect_code 0 philotes metrics
	grep -qxF 'philotes_cdc_pipeline_state{source="shop",state="stopped"} 1' \
		<<<"$output"
}

@test "metrics replace a file as a whole, readable by others, or not at all" {
	local dir=$BATS_TEST_TMPDIR/textfile
	filled 3
	mkdir "$dir"
	umask 077
	philotes metrics --output "$dir/philotes.prom"
	[[ $(stat -c %a "$dir/philotes.prom") == 644 ]]
	[[ $(ls "$dir") == philotes.prom ]]
	child_rewrites() { while :; do
		philotes metrics --output "$dir/philotes.prom"; done; }
	child child_rewrites
	for _ in {1..300}; do
		[[ $(tail -n 1 "$dir/philotes.prom") == philotes_up* ]]
	done
	kill_children
	mkdir "$dir/sub"
	expect_code 74 philotes metrics --output "$dir/sub"
	[[ -z $(ls "$dir/sub") && $(find "$dir" -type f | wc -l) == 1 ]]
	expect_code 74 philotes metrics --output "$dir/none/philotes.prom"
	expect_error "could not create \"$dir/none/philotes.prom\""
	# a source that does not answer is a metric, not an error
	expect_code 0 env PHILOTES_SOURCE_URL=host=/nowhere philotes metrics
	[[ $output == *'philotes_up{source="shop",database="source"} 0'* ]]
}

@test "consumer list, add and drop" {
	filled 5
	expect_code 0 philotes consumer list
	[[ $output == $'default\tshop\t0\t0.0' ]]
	expect_code 0 philotes consumer add audit
	expect_code 0 philotes consumer add audit
	[[ $stderr == *"exists already"* ]]
	expect_code 0 philotes consumer add --start latest "it's new"
	expect_code 0 philotes consumer list
	grep -qP '^audit\tshop\t5\t[0-9.]+$' <<<"$output"
	[[ $output == *$'\n'"it's new"$'\tshop\t0\t0.0' ]]
	expect_code 0 philotes consumer drop audit
	expect_code 78 philotes consumer drop audit
	expect_error 'could not drop "audit": there is no such consumer'
	expect_code 64 philotes consumer
	expect_code 64 philotes consumer add
	expect_code 64 philotes consumer list x
	expect_code 64 philotes consumer add x --start first
	expect_code 64 philotes consumer drop x --start latest
	expect_error 'could not use "--start": it belongs to consumer add'
	expect_code 64 philotes status --output x
	expect_error 'could not use "--output": it belongs to metrics'
	expect_code 64 philotes status --max-lag soon
	expect_code 75 env PHILOTES_BUFFER_URL=host=/nowhere philotes consumer list
	expect_code 78 env PHILOTES_BUFFER_URL="${PHILOTES_SOURCE_URL}" \
		philotes consumer list
}

# full COMMAND ...: with a full stdout it is 74 and prints one error line,
# however long its output
full()
{
	local status=0
	"$@" >/dev/full 2>"$out.full" || status=$?
	((status == 74)) || { echo "$*: $status"; return 1; }
	[[ $(cat "$out.full") == *'philotes: error: could not write "stdout": '* &&
	    $(wc -l <"$out.full") == 1 ]] || { cat "$out.full"; return 1; }
}

@test "a full stdout is 74 for each command" {
	filled 1
	full philotes --help
	full philotes --version
	full philotes status
	full philotes status --json
	full philotes metrics
	full philotes consumer list
	expect_code 74 sh -c 'philotes check >/dev/full'
	refute grep 'printf' <<<"$stderr"
}

@test "status --watch shows the first lines on a small terminal" {
	filled 1
	COLUMNS='' LINES='' script -qec "stty rows 5 cols 20
		timeout 1 philotes status --watch" /dev/null >"$out.tty" || :
	grep -q 'shop: healthy' "$out.tty"
	# no screen has more lines than the terminal
	tr -d '\r' <"$out.tty" | awk 'BEGIN { RS = "\033\\[H" }
		NR == 2 { n = split($0, lines, "\n") }
		END { exit !(n > 0 && n <= 5) }'
}

@test "status has colours on a terminal, unless NO_COLOR is set" {
	filled 1
	env -u NO_COLOR script -qec 'philotes status' /dev/null >"$out.tty"
	grep -qF $'shop: \e[32mhealthy\e[0m' "$out.tty"
	script -qec 'philotes status' /dev/null >"$out.tty"
	refute grep -q $'\e' "$out.tty"
}

@test "status --watch goes on until a signal" {
	filled 3
	child watching
	wait_for watched_twice "" yes
	kill -TERM $!
}

watching()
{
	exec philotes status --watch --json >"$out.watch"
}

watched_twice()
{
	(($(wc -l <"$out.watch") < 2)) || echo yes
}

# finding RESULT CHECK: the report has such a line
finding()
{
	grep -qE "^$1 +$2 " <<<"$output" || {
		echo "no $1 $2 in:"
		echo "$output"
		return 1
	}
}

@test "check: everything in place, and each thing that is missing" {
	filled 3
	expect_code 0 philotes check
	finding ok schema
	finding ok position
	finding ok role
	finding ok disk
	finding ok slot
	refute grep -qE '^ERROR' <<<"$output"
	expect_code 0 philotes check --log-format json
	[[ $(jq -r 'select(.check == "position").result' <<<"$output") == ok ]]
	# another schema version
	local version
	version=$(buf_psql "SELECT philotes.schema_version()")
	buf_psql "CREATE OR REPLACE FUNCTION philotes.schema_version()
	    RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 99'"
	expect_code 78 philotes check
	finding ERROR schema
	buf_psql "CREATE OR REPLACE FUNCTION philotes.schema_version()
	    RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $version'"
	# a role that lacks rights
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/roles.sql"
	expect_code 77 env \
		PHILOTES_BUFFER_URL="${PHILOTES_BUFFER_URL/=postgres/=philotes_batcher}" \
		philotes check
	finding ERROR role
	[[ $output == *"philotes_batcher\" needs "*"INSERT on cdc_log"* ]]
	# one that may do what buffer-write does, and nothing else
	expect_code 77 env \
		PHILOTES_BUFFER_URL="${PHILOTES_BUFFER_URL/=postgres/=philotes_writer}" \
		philotes check
	finding ok role
	finding ERROR role
	[[ $output == *"philotes_writer\" needs "*"SELECT on cdc_log"*" for buffer-batch"* ]]
	[[ $output == *"philotes_writer\" needs "*"EXECUTE on gc_"*" for buffer-gc"* ]]
	# a slot that is beyond the buffer's checkpoint: changes are missing
	changes 4 5
	src_psql "SELECT pg_replication_slot_advance('$PHILOTES_SLOT',
	    pg_current_wal_lsn())" >/dev/null
	expect_code 69 philotes check
	finding ERROR position
	[[ $output == *": the slot is ahead: "* ]]
	# another cluster, another slot
	buf_psql "UPDATE philotes.cdc_sources SET system_id = '1'"
	expect_code 69 philotes check
	[[ $output == *": the stream comes from another cluster ("* ]]
	buf_psql "UPDATE philotes.cdc_sources SET slot = 'x', system_id =
	    '$(src_psql "SELECT system_identifier FROM pg_control_system()")'"
	expect_code 69 philotes check
	[[ $output == *": the stream comes from another slot ("* ]]
	# no slot, no schema, no server
	src_psql "SELECT pg_drop_replication_slot('$PHILOTES_SLOT')" >/dev/null
	expect_code 69 philotes check
	pg-cdc-read --create
	expect_code 78 env PHILOTES_BUFFER_URL="$PHILOTES_SOURCE_URL" \
		philotes check
	finding ERROR schema
	# without a source there is no position to compare
	expect_code 75 env PHILOTES_SOURCE_URL=host=/nowhere philotes check
	finding ERROR connection
	finding ok role
	refute grep -q position <<<"$output"
}

@test "check: the embedded buffer, with and without its server" {
	local data=$PHILOTES_STATE_DIR/buffer
	export PHILOTES_BUFFER_URL=embedded
	expect_code 0 philotes init
	expect_code 0 philotes check
	finding WARNING buffer
	refute grep -q 'schema' <<<"$output"
	cluster_start "$data"
	expect_code 0 philotes check
	cluster_stop "$data"
	finding ok buffer
	finding ok schema
	finding ok position
	finding ok role
}
