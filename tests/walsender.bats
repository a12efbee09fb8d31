#!/usr/bin/env bats
# A walsender that breaks the protocol: the reader ends soon with a suitable
# code and prints only whole lines; nothing is confirmed that was not read.

load helper
load crash

setup()
{
	databases_up
	crash_setup
	transactions 4 20
	expected=$BATS_TEST_TMPDIR/expected
	pg-cdc-read --until now >"$expected"
	[ "$(wc -l <"$expected")" = 96 ]
	direct=$PHILOTES_SOURCE_URL
	confirmed_sql="SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
	confirmed=$(psql_direct "$confirmed_sql")
	seed=${SEED:-$RANDOM}
	echo "# SEED=$seed" >&3
	RANDOM=$seed
}

# through MODE N: from now on the source is behind a proxy that does this to
# the Nth message
through()
{
	local dir=$BATS_TEST_TMPDIR/proxy
	last="$*"
	no_proxy
	mkdir -p "$dir"
	rm -f "$dir"/.s*
	child "$PHILOTES_BIN/fault/hostile" "$dir/.s.PGSQL.5432" \
	    "$BATS_FILE_TMPDIR/src/.s.PGSQL.5432" "$1" "$2" "$RANDOM" >/dev/null
	proxy=$!
	wait_for ls "$dir/.s.PGSQL.5432" "$dir/.s.PGSQL.5432"
	PHILOTES_SOURCE_URL="host='$dir' port=5432 user=postgres dbname=t$BATS_TEST_NUMBER"
}

no_proxy()
{
	PHILOTES_SOURCE_URL=$direct
	[[ -z ${proxy-} ]] || kill -KILL "$proxy"
	proxy=
}

# Waits until the walsender of a cut connection has ended.
idle()
{
	wait_for psql_direct "SELECT count(*) FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT' AND active" 0
}

# shellcheck disable=SC2329 # called by wait_for
psql_direct()
{
	psql_on "$direct" -At -c "$1"
}

# reads CODES [prefix]: the reader ends in time with one of these codes, and
# prints valid lines or, with prefix, the beginning of the expected ones
reads()
{
	local code=0
	timeout 20 pg-cdc-read --until now --server-timeout 1s \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || code=$?
	idle
	[[ " $1 " == *" $code "* ]] || {
		echo "${last-}: ended with $code, not one of $1"
		cat "$BATS_TEST_TMPDIR/err"
		return 1
	}
	jq -es 'map(.metadata.seq) | all' "$BATS_TEST_TMPDIR/out" >/dev/null ||
		[ ! -s "$BATS_TEST_TMPDIR/out" ]
	[[ $code == 0 || $(grep -c ': error:' "$BATS_TEST_TMPDIR/err") == 1 ]]
	[[ -z ${2-} ]] || cmp "$BATS_TEST_TMPDIR/out" \
		<(head -c "$(stat -c %s "$BATS_TEST_TMPDIR/out")" "$expected")
}

@test "messages truncated, oversized, cut off, of giant length, an error: a clear end" {
	local mode
	for _ in 1 2 3 4; do
		for mode in truncate oversize; do
			through "$mode" $((RANDOM % 120 + 1))
			reads "76" prefix
		done
		through length $((RANDOM % 120 + 1))
		reads "75 76" prefix
		through cut $((RANDOM % 120 + 1))
		reads "75" prefix
		through error $((RANDOM % 120 + 1))
		reads "69 75 76 78 70" prefix
	done
	[ "$(psql_direct "$confirmed_sql")" = "$confirmed" ]
}

@test "messages reordered, repeated, missing or altered: whole lines and a clear end" {
	local mode
	for _ in 1 2 3 4; do
		for mode in reorder drop double inner flip; do
			through "$mode" $((RANDOM % 120 + 1))
			reads "0 65 69 70 75 76 78"
		done
	done
}

@test "messages that arrive byte by byte are read correctly" {
	through slow 1
	reads 0 prefix
	cmp "$BATS_TEST_TMPDIR/out" "$expected"
}

@test "a pipeline behind such a proxy stores nothing twice and loses nothing" {
	local mode
	for mode in cut length truncate error cut oversize error cut; do
		through "$mode" $((RANDOM % 120 + 1))
		start_pipeline --until now --server-timeout 1s
		await_pipeline
		echo "$mode: $reader_code $writer_code"
		[[ $reader_code =~ ^(69|70|75|76|78)$ && $writer_code =~ ^(0|74|75)$ ]]
		no_proxy
		idle
		whole
		transactions
	done
	start_pipeline --until now
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	complete
}

@test "a third failure at the same change needs an operator: 69" {
	local failures=$BATS_TEST_TMPDIR/failures
	# in the middle of a transaction
	through cut 50
	for code in 75 75 69 69; do
		expect_code "$code" pg-cdc-read --failures "$failures"
		idle
	done
	[[ $stderr == *"hint: The stream has failed 4 times in a row after "*" of slot \"$PHILOTES_SLOT\": "* ]]
	grep -E '^[0-9A-F]+/[0-9A-F]+ 4 lost$' "$failures"
	# at another change or in another way a restart may help
	through cut 30
	expect_code 75 pg-cdc-read --failures "$failures"
	idle
	through length 30
	expect_code 75 pg-cdc-read --failures "$failures" --server-timeout 1s
	idle
	# between transactions there is no change that could be at fault
	through cut 1
	for code in 75 75 75 75; do
		expect_code "$code" pg-cdc-read --failures "$failures"
		idle
	done
	# a file of failures that cannot be written is only a warning
	through cut 50
	expect_code 75 pg-cdc-read --failures /no/such/file
	[[ $stderr == *'warning: could not write "/no/such/file"'* ]]
}

@test "the supervisor gives up on a change that always ends the connection: 69" {
	through cut 50
	expect_code 69 timeout 60 philotes run
	[[ $stderr == *'could not go on with "pg-cdc-read": it ended with 69'* ]]
	no_proxy
	whole
}
