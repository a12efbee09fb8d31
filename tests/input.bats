#!/usr/bin/env bats
# buffer-write's input, line by line: what is refused and how, what happens to
# it with --rejects, and that what is accepted comes out as it went in.

load helper

# event COMMIT_LSN SEQ [AFTER_DATA [SOURCE]]: a line
event()
{
	printf '{"source_id":"%s","schema_name":"public","table_name":"t","operation":"INSERT","lsn":"0/1","transaction_id":7,"key_columns":["id"],"before_data":null,"after_data":%s,"event_time":"2026-11-22T13:12:35.949462Z","metadata":{"commit_lsn":"%s","seq":%s}}\n' \
	    "${4:-s}" "${3:-{\"id\":1\}}" "$1" "$2"
}

checkpoint()
{
	printf '{"control":"checkpoint","ack":"%s"}\n' "$1"
}

start()
{
	printf '{"control":"start","source_id":"s","system_id":"sys","timeline":1,"history":[],"slot":"slot","lsn":"0/100","flush":"0/1000"}\n'
}

stored()
{
	buf_psql "SELECT commit_lsn, seq FROM philotes.cdc_log ORDER BY id"
}

setup()
{
	databases_up
	in=$BATS_TEST_TMPDIR/in
	bad=$BATS_TEST_TMPDIR/bad.ndjson
}

# write_lines CODE [OPTION ...]: buffer-write reads $in and ends with that code
write_lines()
{
	local code=$1
	shift
	expect_code "$code" buffer-write "$@" <"$in"
}

# The rejected lines, and the reasons.
rejected()
{
	sed -n 'n;p' "$bad"
}

reasons()
{
	sed -n 'p;n' "$bad"
}

# Every proper beginning of each line of stdin, byte by byte.
beginnings()
{
	LC_ALL=C awk '{ for (i = 1; i < length($0); i++) print substr($0, 1, i) }'
}

# with KEY VALUE: an event of which one member has another value
with()
{
	local line
	line=$(event 0/200 1 | jq -c ".$1 = \"@\"")
	printf '%s\n' "${line/\"@\"/"$2"}"
}

# Lines that are refused, many of them made of one that is not.
malformed()
{
	local key value
	event 0/200 1 | beginnings
	# white space, line ends, what other programs put in front
	printf '%s\n' '' ' ' $'\t \t' $'\r' $'\f' $'\v' '\n' '[]' '""' 7 null
	printf '\xef\xbb\xbf%s\n' "$(event 0/200 1)"
	printf '%s\r%s\n' "$(event 0/200 1)" "$(event 0/200 1)"
	printf '\x1e%s\n' "$(event 0/200 1)"
	printf '%s,\n' "$(event 0/200 1)"
	printf '[%s]\n' "$(event 0/200 1)"
	printf '%s%s\n' "$(event 0/200 1)" "$(event 0/200 1)"
	printf '%s\0\n' "$(event 0/200 1)"
	printf '\0%s\n' "$(event 0/200 1)"
	event 0/200 1 | tr s '\0'
	event 0/200 1 | iconv -t UTF-16LE | tr -d '\n' && echo
	# what jsmn alone would let through
	printf '%s\n' '{"a"}' '{"a":1,}' '{,}' '{"a":"b":"c"}' '{"a" "b"}' '{}{}' \
		'{"a":::"b"}' ',:{}:,' '{"a":[1 "b"]}' '{"a":tru}' '{"a":1.2.3}' \
		'{"a":nope}' '{"a":+1}' '{"a":.5}' '{"a":01}' '{"a":1.}' \
		'{"a":-}' '{"a":1e}' '{"a":0x1}' '{"a":NaN}' '{"a":Infinity}' \
		"{'a':1}" '{a:1}' '{"a":1]' '[{"a":1}' '{"a":"\x"}' '{"a":"\u12g4"}' \
		'{"a":"\u"}' $'{"a":"\t"}' $'{"a":"\x01"}' '{"a":1}//' '{"a":1/**/}' \
		'{"__proto__":1}' 'nul' '{"a":truefalse}'
	# bytes that are not UTF-8, in a name and in a value
	while read -r value; do
		# shellcheck disable=SC2059
		value=$(printf "$value")
		event 0/200 1 "{\"id\":\"$value\"}"
		event 0/200 1 "{\"$value\":1}"
		event 0/200 1 '{}' "$value"
	done <<-'END'
	\x80
	\xbf
	\xc0\x80
	\xc1\xbf
	\xc3
	\xe0\x80\x80
	\xe2\x82
	\xed\xa0\x80
	\xed\xbf\xbf
	\xf0\x80\x80\x80
	\xf0\x9f\x98
	\xf4\x90\x80\x80
	\xf5\x80\x80\x80
	\xfe
	\xff\xff
	END
	# each member left out, twice, of each type it must not have
	for key in source_id schema_name table_name operation lsn event_time; do
		event 0/200 1 | jq -c "del(.$key)"
		for value in null 1 true '[]' '{}' '["a"]'; do
			with "$key" "$value"
		done
	done
	for key in source_id schema_name table_name operation lsn transaction_id \
	    key_columns before_data after_data event_time metadata; do
		event 0/200 1 | sed "s/}$/,\"$key\":null}/"
		with "${key}s" 1
		with "${key^^}" 1
		with "$key" '"\u0000"'
	done
	for value in '"1"' -1 1.0 1.5 true '[]'; do
		with transaction_id "$value"
		with metadata.seq "$value"
		with metadata.commit_lsn "$value"
	done
	for value in 9223372036854775808 1e3 -0 01; do
		event 0/200 "$value"
		event 0/200 1 | sed "s/:7,/:$value,/"
	done
	with metadata.seq 0
	with metadata '{"seq":1}'
	with metadata '{"commit_lsn":"0/200"}'
	event 0/200 1 | sed 's/"seq":1/"seq":1,"seq":1/'
	event 0/200 1 | sed 's/"seq":1/"seq":1,"\\u0073eq":1/'
	for value in '' 0 0/ /0 G/1 0/g 1/100000000 100000000/1 0/0a 0/01 00/1 ' 0/1' \
	    '0/1 ' 0/1/1 -1/1 0x1/1; do
		with lsn "\"$value\""
		with metadata.commit_lsn "\"$value\""
	done
	with metadata.commit_lsn '"0/0"'
	for value in insert 'INSERT ' UPSERT I '' 'INSERT\n'; do
		with operation "\"$value\""
	done
	for value in '' now today 2026-11-22 2026-11-22T13:12:35 \
	    2026-11-22T13:12Z 2026-11-22T24:00:00Z 2026-11-22T13:60:00Z \
	    2026-11-22T13:12:60Z 2026-02-29T00:00:00Z 2026-13-01T00:00:00Z \
	    2026-00-01T00:00:00Z 2026-01-00T00:00:00Z 26-11-22T13:12:35Z \
	    2026-11-22T13:12:35.Z 2026-11-22T13:12:35.1234567Z \
	    2026-11-22T13:12:35+0100 2026-11-22T13:12:35+16:00 Infinity \
	    '2026-11-22T13:12:35Z ' +294277-01-01T00:00:00Z \
	    -4713-11-23T00:00:00Z +294276-12-31T23:59:59-00:01; do
		with event_time "\"$value\""
	done
	for value in '"id"' 1 true '{}' '[1]' '[null]' '["a",["b"]]' '[{}]'; do
		with key_columns "$value"
	done
	for key in before_data after_data metadata; do
		for value in '"{}"' 1 false '[]' '[{}]'; do
			with "$key" "$value"
		done
	done
	# what jsonb could not hold, or not without loss
	for value in '{"a":"\u0000"}' '{"\u0000":1}' '{"a":"\ud800"}' \
	    '{"a":"\udc00"}' '{"a":"\ud800\ud800"}' '{"a":"\udc00\ud800"}' \
	    '{"a":1e131072}' '{"a":-1e999999999}' '{"a":1e-16384}' \
	    '{"a":1e99999999999999999999}' '{"a":1,"a":1}' '{"a":1,"\u0061":2}' \
	    '{"a":[{"b":{"c":1,"d":2,"c":3}}]}' \
	    "{\"a\":$(printf '[%.0s' {1..257})$(printf ']%.0s' {1..257})}"; do
		event 0/200 1 "$value"
		event 0/200 1 | sed "s|\"before_data\":null|\"before_data\":${value//\\/\\\\}|"
	done
}

@test "hundreds of malformed lines: each is rejected with a reason, byte for byte" {
	malformed >"$BATS_TEST_TMPDIR/malformed"
	local n
	n=$(wc -l <"$BATS_TEST_TMPDIR/malformed")
	echo "# $n malformed lines" >&3
	((n > 500))
	# a good one after each
	awk -v good="$(event 0/XX 1)" '{ print; g = good
	    sub("0/XX", sprintf("1/%X", NR), g); print g }' \
	    RS='\n' "$BATS_TEST_TMPDIR/malformed" >"$in"
	[ "$(wc -l <"$in")" = $((2 * n)) ]
	write_lines 0 --rejects "$bad"
	rejected >"$BATS_TEST_TMPDIR/rejected"
	cmp "$BATS_TEST_TMPDIR/malformed" "$BATS_TEST_TMPDIR/rejected"
	[ "$(reasons | jq -r .line | paste -sd,)" = \
	    "$(seq 1 2 $((2 * n)) | paste -sd,)" ]
	[ -z "$(reasons | jq 'select((.reason | length) < 5 or .byte < 1)')" ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = "$n" ]
}

@test "one of them without --rejects: 65, line, byte, key and event" {
	{
		event 0/110 1
		event 0/110 2 '{"a":1,"b":"\u0000"}'
		event 0/110 3
	} >"$in" && write_lines 65
	expect_error 'line 2: .u0000 in a string .key "after_data", byte 175, event 0/110 2 of "s"'
	[ -z "$(stored)" ]
}
