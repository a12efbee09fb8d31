#!/usr/bin/env bats
# scripts/philotes: the configuration file, options and the log, without a
# server.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup_file()
{
	:
}

teardown_file()
{
	:
}

# Stubs of the tools that record their arguments and environment.  pg-cdc-read
# ends the run, so it waits until the other units have recorded theirs.
# shellcheck disable=SC2034 # used by helper.bash
setup()
{
	local tool
	children=()
	conf=$BATS_TEST_TMPDIR/philotes.conf
	pg_unset
	unset "${!PHILOTES_@}" JOURNAL_STREAM
	export PHILOTES_BIN=$BATS_TEST_TMPDIR/bin PHILOTES_NEW_TABLES=ignore
	export PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/state
	mkdir "$PHILOTES_BIN"
	for tool in pg-cdc-read buffer-write buffer-batch buffer-gc; do
		cat >"$PHILOTES_BIN/$tool" <<-'SCRIPT'
		#!/bin/sh
		{ printf 'arg %s\n' "$@"; env; } >"$0.new"
		mv "$0.new" "$0.seen"
		for other in batch gc; do
			until [ "${0##*/}" != pg-cdc-read ] ||
			    [ -e "${0%/*}/buffer-$other.seen" ] ||
			    [ "$PHILOTES_BUFFER_ENABLED" = false ]; do
				sleep 0.05
			done
		done
		exit 78
		SCRIPT
		chmod +x "$PHILOTES_BIN/$tool"
	done
}

teardown()
{
	kill_children
}

# what pg-cdc-read found in its environment, in `philotes --config $conf run`
seen()
{
	expect_code 78 philotes --config "$conf" run
	cat "$PHILOTES_BIN/pg-cdc-read.seen"
}

# refused LINE REASON: this line is refused as the file's second
refused()
{
	printf '# a file\n%s\nPHILOTES_SLOT=a\n' "$1" >"$conf"
	expect_code 78 philotes --config "$conf" run
	expect_error "could not read \"$conf:2\": $2"
	[[ ! -e $PHILOTES_BIN/pg-cdc-read.seen ]]
}

@test "the lines of a file are settings, taken literally" {
	cat >"$conf" <<-'EOT'
	# comment

	  	# another
	PHILOTES_SOURCE_URL=host=/nowhere dbname=$shop
	PHILOTES_TABLES=a,"b=c" `d` # e
	PHILOTES_SLOT=
	PGSSLMODE=verify-full
	EOT
	printf 'PHILOTES_PUBLICATION=last' >>"$conf"
	seen >"$conf.seen"
	# shellcheck disable=SC2016 # literal text
	{
		grep -qxF 'PHILOTES_SOURCE_URL=host=/nowhere dbname=$shop' \
			"$conf.seen"
		grep -qxF 'PHILOTES_TABLES=a,"b=c" `d` # e' "$conf.seen"
	}
	grep -qxF 'PHILOTES_SLOT=' "$conf.seen"
	grep -qxF 'PGSSLMODE=verify-full' "$conf.seen"
	grep -qxF 'PHILOTES_PUBLICATION=last' "$conf.seen"
}

@test "the environment beats the file, even with an empty value" {
	printf '%s\n' PHILOTES_SOURCE_URL=host=/a PHILOTES_SLOT=a \
		PHILOTES_TABLES=a >"$conf"
	PHILOTES_SLOT=b PHILOTES_TABLES='' seen >"$conf.seen"
	grep -qx PHILOTES_SLOT=b "$conf.seen"
	grep -qx PHILOTES_TABLES= "$conf.seen"
}

@test "a malformed line is 78 with its number, and nothing runs" {
	refused PHILOTES_SLTO=a 'there is no setting "PHILOTES_SLTO"'
	refused PATH=/tmp 'there is no setting "PATH"'
	refused PGPASSWORD=x 'there is no setting "PGPASSWORD"'
	refused 'export PHILOTES_TABLES=a' 'it is not KEY=value'
	refused 'PHILOTES_TABLES = a' 'it is not KEY=value'
	refused 'PHILOTES_TABLES' 'it is not KEY=value'
	refused '=a' 'it is not KEY=value'
	# shellcheck disable=SC2016 # literal text
	refused '$(touch x)' 'it is not KEY=value'
	refused 'PHILOTES_TABLES= a' 'the value begins or ends with a space'
	refused 'PHILOTES_TABLES=a ' 'the value begins or ends with a space'
	refused "PHILOTES_TABLES='a'" 'the value is in quotes'
	refused 'PHILOTES_TABLES="a"' 'the value is in quotes'
	refused $'PHILOTES_TABLES=a\r' 'it has a control character'
	printf 'PHILOTES_SLOT=a\n\nPHILOTES_SLOT=b\n' >"$conf"
	expect_code 78 philotes --config "$conf" run
	expect_error "$conf:3\": PHILOTES_SLOT is already set in line 1"
}

@test "a named file must exist; quotes inside a value are kept" {
	expect_code 78 philotes --config "$conf" run
	expect_error "could not read \"$conf\": there is no such file"
	expect_code 64 philotes run --config
	expect_error 'could not use "--config": it needs a value'
	printf '%s\n' PHILOTES_SOURCE_URL=host=/a \
		"PHILOTES_HANDLER='a' b 'c'" >"$conf"
	seen >/dev/null
}

@test "a password in a file that others may read is refused" {
	local url
	for url in 'postgres://u:pw@h/d' 'host=h password=pw' \
	    'postgres://h/d?password=pw'; do
		echo "PHILOTES_SOURCE_URL=$url" >"$conf"
		chmod 644 "$conf"
		expect_code 78 philotes run --config "$conf"
		expect_error "$conf:1\": it has a password"
		[[ $stderr != *pw* ]]
		chmod 640 "$conf"
		seen >/dev/null
	done
	echo 'PHILOTES_SOURCE_URL=postgres://u@h:5432/d' >"$conf"
	chmod 644 "$conf"
	seen >/dev/null
}

@test "each stage gets its own connection string and no other" {
	export PHILOTES_SOURCE_URL=host=/a PHILOTES_BUFFER_URL=host=/b
	expect_code 78 philotes run
	cd "$PHILOTES_BIN"
	[[ $(grep _URL pg-cdc-read.seen) == PHILOTES_SOURCE_URL=host=/a ]]
	[[ $(grep -h _URL buffer-*.seen | sort -u) == \
	    PHILOTES_BUFFER_URL=host=/b ]]
}

@test "options may stand anywhere; wrong ones are refused by name" {
	expect_code 64 philotes --frobnicate run
	expect_error 'could not use "--frobnicate": no such option'
	expect_code 64 philotes --log-format xml run
	expect_error 'neither text nor json'
	expect_code 78 env PHILOTES_LOG_FORMAT=xml philotes run
	expect_error 'PHILOTES_LOG_FORMAT=xml'
	expect_code 78 env PHILOTES_LOG_TIMESTAMPS=1 philotes run
	expect_error 'PHILOTES_LOG_TIMESTAMPS=1'
	export PHILOTES_SOURCE_URL=host=/a
	expect_code 78 philotes run -v
	grep -qx 'arg -v' "$PHILOTES_BIN/pg-cdc-read.seen"
	rm "$PHILOTES_BIN"/*.seen
	expect_code 78 philotes -q run
	refute grep -vE ': (error: could not go on|hint: The other units)' \
		<<<"$stderr"
	grep -qx 'arg -q' "$PHILOTES_BIN/buffer-gc.seen"
}

@test "the log of a run: one line a message, with time, as JSON, and for the journal" {
	export PHILOTES_SOURCE_URL=host=/a
	expect_code 78 philotes run
	[[ -n $stderr ]]
	refute grep -vE '^20[0-9-]{8}T[0-9:]{8}\.[0-9]{6}Z philotes: (error|info|warning|hint): ' \
		<<<"$stderr"
	expect_code 78 env PHILOTES_LOG_TIMESTAMPS=false philotes run
	refute grep -v '^philotes: ' <<<"$stderr"
	expect_code 78 philotes run --log-format json
	[[ $(jq -r .tool <<<"$stderr" | sort -u) == philotes ]]
	jq -es 'any(.level == "error" and
	    (.message | startswith("could not go on with")))' <<<"$stderr"
	grep -qx PHILOTES_LOG_FORMAT=json "$PHILOTES_BIN/pg-cdc-read.seen"
	# also for errors in the arguments
	unset PHILOTES_BIN
	expect_code 64 env PHILOTES_LOG_FORMAT=json "$root/bin/buffer-gc" --x
	[[ $(jq -r .tool <<<"$stderr" | sort -u) == buffer-gc ]]
	export PHILOTES_BIN=$BATS_TEST_TMPDIR/bin
	: >"$conf.log"
	JOURNAL_STREAM=$(stat -c %d:%i "$conf.log")
	export JOURNAL_STREAM
	refute philotes run 2>"$conf.log" 3>&-
	refute grep -vE '^<[346]>philotes: ' "$conf.log"
}
