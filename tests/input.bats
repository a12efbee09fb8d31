#!/usr/bin/env bats
# buffer-write's input, line by line: which lines are refused and how, what
# --rejects does with them, and that accepted lines come out unchanged.

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

# Every proper prefix of each line of stdin.
beginnings()
{
	LC_ALL=C awk '{ for (i = 1; i < length($0); i++) print substr($0, 1, i) }'
}

# with KEY VALUE: an event with this value of the member, or with a new member
with()
{
	local good member
	good=$(event 0/200 1)
	member=$(grep -oE "\"${1#*.}\":(\"[^\"]*\"|[[:alnum:]]+|\[[^]]*]|\{[^}]*\})" \
	    <<<"$good") || {
		printf '%s\n' "${good%\}},\"${1#*.}\":$2}"
		return 0
	}
	printf '%s\n' "${good/"$member"/"\"${1#*.}\":$2"}"
}

# Lines that are refused, most of them made from a correct one.
malformed()
{
	local key value
	event 0/200 1 | beginnings
	# white space, line ends, prefixes that other programs write
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
	# what jsmn alone would accept
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
	# each member missing, twice, and of each wrong type
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
	# what jsonb cannot hold, or only with a loss
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
	# a correct line after each
	awk -v good="$(event 0/XX 1)" '{ print; g = good
	    sub("0/XX", sprintf("1/%X", NR), g); print g }' \
	    RS='\n' "$BATS_TEST_TMPDIR/malformed" >"$in"
	[ "$(wc -l <"$in")" = $((2 * n)) ]
	write_lines 0 --rejects "$bad"
	rejected >"$BATS_TEST_TMPDIR/rejected"
	cmp "$BATS_TEST_TMPDIR/malformed" "$BATS_TEST_TMPDIR/rejected"
	[ "$(reasons | jq -r .line | paste -sd,)" = \
	    "$(seq 1 2 $((2 * n)) | paste -sd,)" ]
	[ "$(reasons | jq -s 'map(select((.reason | length) < 5 or .byte < 1))
	    | length')" = 0 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = "$n" ]
}

@test "a malformed line without --rejects is 65, with line, byte, key and event" {
	{
		event 0/110 1
		event 0/110 2 '{"a":1,"b":"\u0000"}'
		event 0/110 3
	} >"$in"
	write_lines 65
	expect_error 'line 2: .u0000 in a string .key "after_data", byte 175, event 0/110 2 of "s"'
	nothing stored
}

@test "CR and spaces at the line's end are white space; a cut line is not a line" {
	{
		event 0/110 1 | sed 's/$/\r/'
		event 0/110 2 | sed 's/^/ \t/; s/$/ \r\t/'
		printf '\r\n'
		event 0/110 3
		printf ' \n'
		event 0/110 4 | tr -d '\n'
	} >"$in"
	write_lines 75 --rejects "$bad"
	expect_error 'stdin ended inside line 6'
	[ "$(stored)" = $'0/110|1\n0/110|2\n0/110|3' ]
	[ "$(rejected | od -An -c | tr -s ' ' | paste -sd' ')" = ' \r \n \n' ]
	[ "$(reasons | jq -c '[.line, .byte, .reason]' | paste -sd' ')" = \
	    '[3,2,"unexpected end"] [5,2,"unexpected end"]' ]
}

@test "the rest of a rejected line's transaction is stored and acknowledged" {
	{
		start
		event 0/110 1
		event 0/110 2 '{"a":[1,2e400000]}'
		event 0/110 3
		checkpoint 0/118
		event 0/120 1 | sed 's/INSERT/REPLACE/'
		checkpoint 0/128
	} >"$in"
	write_lines 0 --rejects "$bad"
	[ "$output" = 0/128 ]
	[ "$(stored)" = $'0/110|1\n0/110|3' ]
	[ "$(reasons | head -n 1)" = '{"line":3,"byte":171,"key":"after_data","reason":"number out of range","source_id":"s","commit_lsn":"0/110","seq":2}' ]
	[ "$(reasons | jq -c '[.line, .key, .seq]' | paste -sd' ')" = \
	    '[3,"after_data",2] [6,"operation",1]' ]
	diff <(rejected) <(sed -n '3p;6p' "$in")
	[ "$(stat -c %a "$bad")" = 600 ]
	# once corrected, the rejected lines can be stored after the others
	rejected | sed 's/2e400000/2/; s/REPLACE/UPDATE/' |
		jq -c 'del(.metadata.commit_lsn, .metadata.seq)' >"$in"
	write_lines 0
	[ "$(buf_psql "SELECT operation FROM philotes.cdc_log WHERE seq IS NULL
	    ORDER BY id" | paste -sd' ')" = 'INSERT UPDATE' ]
}

# at PATTERN: the number of the first matching line of the trace
at()
{
	local line
	line=$(grep -m 1 -nE "$1" "$BATS_TEST_TMPDIR/trace") || return 1
	echo "${line%%:*}"
}

@test "the rejects file is on disk before the commit, and the commit before the ack" {
	{
		start
		event 0/110 1
		event 0/110 2 7
		checkpoint 0/118
	} >"$in"
	export ASAN_OPTIONS=detect_leaks=0
	expect_code 0 strace -y -s 500 -e trace=write,fsync,sendto \
		-o "$BATS_TEST_TMPDIR/trace" buffer-write --rejects "$bad" <"$in"
	local written synced committed acked
	written=$(at 'write\([0-9]+<.*bad.ndjson')
	synced=$(at 'fsync\([0-9]+<.*bad.ndjson')
	committed=$(at 'sendto.*end_write.*COMMIT')
	acked=$(at 'write\(1.*0/118')
	((written < synced && synced < committed && committed < acked))
	# a new file's directory entry is synced as well
	synced=$(at "fsync\\([0-9]+<$BATS_TEST_TMPDIR>")
	((synced < committed))
}

@test "a rejects file that cannot be written or synced is 74, and nothing is acknowledged" {
	{
		start
		event 0/110 1
		echo nonsense
		checkpoint 0/118
	} >"$in"
	local file
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	for file in /dev/full /dev/null "$BATS_TEST_TMPDIR" \
	    "$BATS_TEST_TMPDIR/no/such" "$BATS_TEST_TMPDIR/fifo"; do
		write_lines 74 --rejects "$file"
		expect_error "could not (write|open|sync) \"$file\""
		[ -z "$output" ]
		nothing stored
	done
	# a line too long for a pipe
	head -c 2000000 /dev/zero | tr '\0' x >>"$in" && echo >>"$in"
	write_lines 74 --rejects "$BATS_TEST_TMPDIR/fifo"
	sed -i '/xx/d' "$in"
	# without a bad line nothing needs to be written
	sed -i /nonsense/d "$in"
	write_lines 0 --rejects /dev/full
	[ "$output" = 0/118 ]
}

@test "control lines and events out of order are never rejected" {
	local line
	for line in '{"control":"checkpoint"}' '{"control":"checkpoint","ack":7}' \
	    '{"control":"start","source_id":"s"}' '{"control":7}' \
	    '{"control":"checkpoint","ack":"0/1' '{"control"' \
	    '{"ack":"0/xyz","control":"checkpoint"}'; do
		{
			start
			event 0/110 1
			echo "$line"
			checkpoint 0/118
		} >"$in"
		write_lines 65 --rejects "$bad"
		expect_error 'line 3'
		[ -z "$output" ]
		nothing stored
		[ ! -s "$bad" ]
	done
	# the first transaction is complete when the second one begins
	{
		start
		event 0/110 1
		event 0/108 1
		checkpoint 0/118
	} >"$in"
	write_lines 65 --rejects "$bad"
	expect_error 'line 3: out of order'
	[ -z "$output" ]
	[ "$(stored)" = '0/110|1' ]
	[ ! -s "$bad" ]
	{ printf '{"control":"checkpoint","ack":"'; head -c 300 /dev/zero | tr '\0' 1
	    echo '"}'; } >"$in"
	write_lines 65 --rejects "$bad" --max-line 200
}

@test "a line that is too long goes to the file whole, in constant memory" {
	local n=100000000 peak
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec 7<>"$BATS_TEST_TMPDIR/fifo"
	child buffer-write --max-line 1000000 --rejects "$bad" \
	    <"$BATS_TEST_TMPDIR/fifo" >"$BATS_TEST_TMPDIR/out" 7>&-
	event 0/110 1 >&7
	head -c $n /dev/zero | tr '\0' '\001' >&7
	peak=$(awk '/^VmHWM/ { print $2 }' "/proc/${children[-1]}/status")
	echo >&7
	event 0/110 2 >&7
	# a line just above the limit, and one just below
	event 0/110 3 "{\"a\":\"$(head -c 1000000 /dev/zero | tr '\0' a)\"}" >&7
	event 0/110 4 "{\"a\":\"$(head -c 999000 /dev/zero | tr '\0' a)\"}" >&7
	exec 7>&-
	wait "${children[-1]}"
	echo "# peak $peak kB" >&3
	[[ -n ${SAN-} || $PHILOTES_BIN == *san* ]] || ((peak < 30000))
	[ "$(stored)" = $'0/110|1\n0/110|2\n0/110|4' ]
	cmp <(head -c $n /dev/zero | tr '\0' '\001'; echo) <(rejected | head -n 1)
	[ "$(reasons | jq -c '[.line, .byte, .reason]' | paste -sd' ')" = \
	    '[2,1000001,"is longer than --max-line"] [4,1000001,"is longer than --max-line"]' ]
	# a line that never ends
	{ event 0/120 1; head -c 3000000 /dev/zero; } >"$in"
	write_lines 75 --max-line 1000000 --rejects "$bad"
	expect_error 'inside line 2'
	[ "$(stored | tail -n 1)" = '0/120|1' ]
}

@test "an entry that a crash cut off does not shift later entries" {
	echo nonsense >"$in"
	local torn
	for torn in '{"line":1,"by' $'{"line":1}\n' $'{"line":1}\ncut o'; do
		printf %s "$torn" >"$bad"
		write_lines 0 --rejects "$bad"
		[ "$(wc -l <"$bad")" = 4 ]
		[ "$(tail -n 2 "$bad")" = $'{"line":1,"byte":2,"reason":"unexpected character"}\nnonsense' ]
		write_lines 0 --rejects "$bad"
		[ "$(rejected | tail -n 2)" = $'nonsense\nnonsense' ]
	done
}

@test "a value too large for jsonb is found before it is stored" {
	{
		event 0/110 1
		event 0/110 2 "{\"a\":[$(yes 0, | head -n 17000000 | tr -d '\n')0]}"
		event 0/110 3
	} >"$in"
	write_lines 0 --rejects "$bad"
	[ "$(stored)" = $'0/110|1\n0/110|3' ]
	[ "$(reasons | jq -c '[.line, .key, .reason, .seq]')" = \
	    '[2,"after_data","too large for jsonb",2]' ]
	cmp <(rejected) <(sed -n 2p "$in")
}

@test "a million keys, a duplicate among them, and many levels" {
	local keys
	keys=$(seq -f '"k%.0f":0' 1000000 | paste -sd,)
	{
		event 0/110 1 "{$keys}"
		event 0/110 2 "{$keys,\"k\\u0037\":1}"
		event 0/110 3 "{\"a\":$(printf '[%.0s' {1..256})$(printf ']%.0s' {1..256})}"
		event 0/110 4 "{\"a\":$(printf '[%.0s' {1..257})$(printf ']%.0s' {1..257})}"
		head -c 100000 /dev/zero | tr '\0' '['
		echo
	} >"$in"
	write_lines 0 --rejects "$bad"
	[ "$(stored)" = $'0/110|1\n0/110|3' ]
	[ "$(reasons | jq -c '[.line, .reason]' | paste -sd' ')" = \
	    '[2,"duplicate key"] [4,"nested too deep"] [5,"nested too deep"]' ]
	[ "$(buf_psql "SELECT count(k) FROM philotes.cdc_events,
	    jsonb_object_keys(after_data) k WHERE lsn = '0/1'")" = 1000001 ]
}

# A line that passes our checks is refused by the server only because of
# constraints and triggers that users added.
@test "an error of the server names line and event, and shows no context" {
	buf_psql "ALTER TABLE philotes.cdc_log ADD CONSTRAINT lucky
	    CHECK (after_data->>'id' <> '13')"
	{
		start
		event 0/108 1
		checkpoint 0/109
		seq 120000 | sed "s|.*|$(event 0/110 \& '{"id":&}')|"
		checkpoint 0/118
	} | sed 's/"id":13}/"id":12}/; s/"id":110000}/"id":13}/' >"$in"
	write_lines 65 --rejects "$bad"
	expect_error '"lucky" .line 110003, event 0/110 110000.$'
	[ ! -s "$bad" ]
	[[ -z $output || $output == 0/109 ]]
	nothing stored || [ "$(stored)" = '0/108|1' ]
	buf_psql "ALTER TABLE philotes.cdc_log DROP CONSTRAINT lucky"
	buf_psql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
	    \$\$ BEGIN IF new.after_data->>'id' = '13' THEN
	        RAISE 'no' USING ERRCODE = new.after_data->>'code',
	        DETAIL = 'secret ' || new.after_data, HINT = 'secret';
	    END IF; RETURN new; END \$\$"
	buf_psql "CREATE TRIGGER refuse BEFORE INSERT ON philotes.cdc_log
	    FOR EACH ROW EXECUTE FUNCTION refuse()"
	local code
	for code in 22P05 54000 22003 23505; do
		{
			start
			event 0/210 1
			event 0/210 2 "{\"id\":13,\"code\":\"$code\"}"
			event 0/210 3
			checkpoint 0/218
		} >"$in"
		write_lines 65
		expect_error ': no .line 3, event 0/210 2.$'
		[[ $stderr != *secret* ]]
		refute grep 0/210 <<<"$(stored)"
	done
	# a later event, without an identity
	sed -i 's/"commit_lsn":"0\/210","seq":[0-9]*//' "$in"
	write_lines 65
	expect_error ': no .line 3.$'
	# no line is to blame for an error that a restart may cure
	sed -i s/23505/53100/ "$in"
	write_lines 75
}

@test "one buffer's output is another's input" {
	local other=$PHILOTES_BUFFER_URL
	{
		event 0/110 1 '{"s":"\u00e9 \n","n":12.500, "a":[1, 2]}'
		event 0/110 2
		event 0/90 1 '{}' other
		jq -nc '{source_id: "s", schema_name: "", table_name: "note",
		    operation: "MESSAGE", lsn: "0/0", event_time: "infinity"}'
		event 0/120 1 | sed 's/"seq":1/"seq":1,"json_text":["a"], "x":{} /'
	} >"$in"
	write_lines 0
	local columns="source_id, schema_name, table_name, operation, lsn,
	    transaction_id, commit_lsn, seq, key_columns, before_data, after_data,
	    event_time, metadata" first
	first=$(buf_psql "SELECT $columns FROM philotes.cdc_log
	    ORDER BY source_id, id")
	server_psql buf "CREATE DATABASE copy"
	PHILOTES_BUFFER_URL=$(cluster_url "$BATS_FILE_TMPDIR/buf" copy)
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	buffer-batch -d "$other" --once >"$in"
	grep -q '"id":.*"created_at":' "$in"
	write_lines 0
	[ "$(buf_psql "SELECT $columns FROM philotes.cdc_log
	    ORDER BY source_id, id")" = "$first" ]
	# an event with an identity is stored once, however often it comes
	grep -v '"note"' "$in" >"$in.again"
	mv "$in.again" "$in"
	write_lines 0
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 5 ]
	sed -i 's/"created_at"/"created_on"/' "$in"
	write_lines 65
	expect_error 'line 1: is not a known key .key "created_on"'
	PHILOTES_BUFFER_URL=$other
	server_psql buf "DROP DATABASE copy"
}

# Lines as buffer-batch writes them, without id and created_at: every byte that
# UTF-8 has, in names, keys and values, in every form that JSON allows.
random_lines()
{
	LC_ALL=C awk -v seed="$1" -v n="$2" '
	function rnd(n) { return int(rand() * n) }
	function utf8(c) {
		if (c < 128) return sprintf("%c", c)
		if (c < 2048) return sprintf("%c%c", 192 + int(c / 64),
		    128 + c % 64)
		if (c < 65536) return sprintf("%c%c%c", 224 + int(c / 4096),
		    128 + int(c / 64) % 64, 128 + c % 64)
		return sprintf("%c%c%c%c", 240 + int(c / 262144),
		    128 + int(c / 4096) % 64, 128 + int(c / 64) % 64,
		    128 + c % 64)
	}
	# as json_write_string does it
	function plain(c) {
		if (c in short) return short[c]
		return c < 32 ? sprintf("\\u%04x", c) : utf8(c)
	}
	function escaped(c) {
		if (c >= 65536) return sprintf("\\u%04X\\u%04x",
		    55296 + int((c - 65536) / 1024), 56320 + (c - 65536) % 1024)
		return sprintf("\\u%04" (rnd(2) ? "x" : "X"), c)
	}
	function some_char(  r, c) {
		r = rnd(6)
		if (r == 0) c = 1 + rnd(31)
		else if (r == 1) c = 32 + rnd(96)
		else if (r == 2) c = 128 + rnd(1920)
		else if (r == 3) c = 2048 + rnd(53248)
		else if (r == 4) c = 57344 + rnd(8192)
		else c = 65536 + rnd(1048576)
		return c
	}
	function text(canonical, n,  s, c) {
		for (s = ""; n > 0; n--) {
			# each byte in turn, then random ones
			c = nth < 2048 ? ++nth : some_char()
			s = s (canonical || rnd(2) ? plain(c) : escaped(c))
		}
		return "\"" s "\""
	}
	function value(depth,  r, s, i) {
		r = rnd(depth > 3 ? 6 : 8)
		if (r < 3) return text(0, rnd(12))
		if (r == 3) return "[null,true,false]"
		if (r == 4) return rnd(2) ? "-0" : rnd(1000000) "." rnd(1000) "00"
		if (r == 5) return "-1.50E-" rnd(300)
		if (r == 6) { s = "[ "
			for (i = rnd(4); i >= 0; i--) s = s value(depth + 1) (i ? "," : "\t]")
			return s }
		return object(depth + 1)
	}
	function object(depth,  s, i) {
		s = "{"
		for (i = rnd(5); i > 0; i--)
			s = s "\"" i substr(text(0, rnd(5)), 2) (rnd(2) ? ":" : " : ") \
			    value(depth + 1) (i > 1 ? "," : "")
		return s "}"
	}
	BEGIN {
		srand(seed)
		short[8] = "\\b"; short[9] = "\\t"; short[10] = "\\n"
		short[12] = "\\f"; short[13] = "\\r"
		short[34] = "\\\""; short[92] = "\\\\"
		split("INSERT UPDATE DELETE TRUNCATE MESSAGE", op, " ")
		for (i = 1; i <= n; i++) {
			printf "{\"source_id\":\"s\",\"schema_name\":%s", text(1, rnd(9))
			printf ",\"table_name\":%s", text(1, rnd(9))
			printf ",\"operation\":\"%s\"", op[1 + rnd(5)]
			printf ",\"lsn\":\"%X/%X\"", rnd(65536), rnd(2147483647)
			printf ",\"transaction_id\":%s", rnd(4) ? rnd(1000000) : "null"
			printf ",\"key_columns\":%s", rnd(4) ? "[" text(0, 3) ", " text(0, 2) "]" : "null"
			printf ",\"before_data\":%s", rnd(2) ? object(0) : "null"
			printf ",\"after_data\":%s", rnd(5) ? object(0) : "null"
			printf ",\"event_time\":\"2026-11-22T13:%02d:%02d.%06dZ\"",
			    rnd(60), rnd(60), rnd(1000000)
			m = rnd(2) ? ",\"unchanged\":[" text(0, 4) "],\"x\":" value(2) : ""
			printf ",\"metadata\":{\"commit_lsn\":\"0/%X\",\"seq\":%d%s}}\n",
			    i, 1 + rnd(1000), m
		}
	}'
}

@test "every byte there is comes out as it went in" {
	local seed=${SEED:-$RANDOM} value
	echo "# SEED=$seed" >&3
	random_lines "$seed" 4000 >"$in"
	# all bytes except the 13 that UTF-8 never uses and the control
	# characters that must be escaped; tab and newline occur
	[ "$(LC_ALL=C od -An -v -tu1 -w1 "$in" | sort -un | wc -l)" = \
	    $((256 - 30 - 13)) ]
	write_lines 0
	buffer-batch --once --batch-size 1000 |
		sed 's/^{"id":[0-9]*,/{/; s/,"created_at":"[^"]*"}$/}/' \
		>"$BATS_TEST_TMPDIR/out"
	cmp "$in" "$BATS_TEST_TMPDIR/out"
	# and jsonb accepts all of it
	value=$(buf_psql "SELECT count(after_data), count(before_data),
	    count(key_columns), count(metadata) FROM (SELECT after_data::text,
	    before_data::text, key_columns::text, metadata::text
	    FROM philotes.cdc_events) e")
	[ "$value" = "$(jq -s -r '[map(.after_data), map(.before_data),
	    map(.key_columns), map(.metadata)]
	    | map(map(select(. != null)) | length) | join("|")' "$in")" ]
}

# Each line of stdin with one or two bytes changed, removed or inserted.
damage()
{
	LC_ALL=C awk -v seed="$1" '
	BEGIN {
		srand(seed)
		telling = "{}[]\",:\\/u0019-+.eEtfn \t\r"
	}
	function some_byte() {
		if (rand() < 0.4)
			return substr(telling, 1 + int(rand() * length(telling)), 1)
		return sprintf("%c", 11 + int(rand() * 245))
	}
	{
		for (n = int(rand() * 2); n >= 0; n--) {
			at = 1 + int(rand() * length($0))
			r = int(rand() * 3)
			$0 = substr($0, 1, at - 1) (r ? some_byte() : "") \
			    substr($0, at + (r < 2))
		}
		print
	}'
}

@test "damaged lines: PostgreSQL agrees on what is JSON, and jsonb holds what is stored" {
	local seed=${SEED:-$RANDOM} refused
	echo "# SEED=$seed" >&3
	random_lines "$seed" 3000 | sed 's/"metadata":{.*/"metadata":null}/' |
		damage "$seed" >"$in"
	write_lines 0 --rejects "$bad"
	local stored
	stored=$(buf_psql "SELECT count(*) FROM philotes.cdc_log")
	echo "# $stored accepted, $((3000 - stored)) rejected" >&3
	((stored > 100 && stored < 2900))
	[ "$(reasons | wc -l)" = $((3000 - stored)) ]
	buf_psql "SELECT count(after_data), count(before_data),
	    count(key_columns) FROM (SELECT after_data::text,
	    before_data::text, key_columns::text FROM philotes.cdc_events) e" \
		>/dev/null
	# the lines that were rejected as not being JSON
	refused=$BATS_TEST_TMPDIR/refused
	paste -d '\001' <(reasons) <(rejected) |
		LC_ALL=C grep -E '"reason":"(unexpected|control|unknown escape)' |
		LC_ALL=C cut -d $'\001' -f 2- |
		grep -av $'\r' | grep -ax '.*' >"$refused" # UTF-8 only
	(($(wc -l <"$refused") > 100))
	buf_psql "CREATE TABLE refused (line text)"
	buf_psql "CREATE FUNCTION is_json(line text) RETURNS boolean
	    LANGUAGE plpgsql AS \$\$ BEGIN PERFORM line::json; RETURN true;
	    EXCEPTION WHEN data_exception THEN RETURN false; END \$\$"
	psql_on "$PHILOTES_BUFFER_URL" -c "\\copy refused FROM '$refused'
	    WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
	nothing buf_psql "SELECT line FROM refused WHERE is_json(line)"
}

@test "killed at its Nth system call and restarted, no line is lost between buffer and file" {
	{
		start
		event 0/110 1
		echo first
		checkpoint 0/118
		event 0/120 1
		event 0/120 2 '"second"'
		event 0/120 3
		checkpoint 0/128
	} >"$in"
	export ASAN_OPTIONS=detect_leaks=0
	local n call code acks
	for call in write fsync sendto; do
		for ((n = 1; n < 100; n++)); do
			rm -f "$bad"
			buf_psql "TRUNCATE philotes.cdc_log, philotes.cdc_writes,
			    philotes.cdc_sources"
			code=0
			acks=$(strace -o /dev/null -e "trace=$call" \
			    -e "inject=$call:signal=KILL:when=$n" \
			    buffer-write --batch-size 1 --rejects "$bad" <"$in" \
			    2>/dev/null) || code=$?
			if [[ $acks == *0/118* ]]; then
				grep -qx first "$bad"
			fi
			if [[ $acks == *0/128* ]]; then
				grep -q second "$bad"
			fi
			((code != 0)) || break
			write_lines 0 --rejects "$bad"
			[ "$(stored)" = $'0/110|1\n0/120|1\n0/120|3' ]
			[ "$(rejected | sort -u | sed 's/.*second.*/second/')" = \
			    $'first\nsecond' ]
		done
		((n > 1 && n < 100))
		echo "# $call: $((n - 1)) kills" >&3
	done
}
