#!/usr/bin/env bats
# Names with terminal escapes, which must never be shown as they are, and
# look-alikes of system functions and operators, which must never be run.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup_file()
{
	local name
	clusters_up
	for name in src buf; do
		psql_on "$(cluster_url "$BATS_FILE_TMPDIR/$name" template1)" \
			-f "$root/tests/hostile.sql"
	done
}

# Look-alike functions and operators

# In both databases those of schema public come first from now on, in each
# session that does not set its own search_path.
hostile_objects()
{
	local url
	for url in "$PHILOTES_SOURCE_URL" "$PHILOTES_BUFFER_URL"; do
		psql_on "$url" -c "ALTER DATABASE $PHILOTES_SLOT
		    SET search_path = public, pg_catalog"
	done
}

# How often an object of schema public was called, in both databases
trapped()
{
	local url
	for url in "$PHILOTES_SOURCE_URL" "$PHILOTES_BUFFER_URL"; do
		psql_pinned "$url" -At -c "SELECT CASE WHEN is_called
		    THEN last_value + 1 ELSE 0 END FROM public.trap"
	done | paste -sd ' '
}

# untrapped CODE COMMAND ...: it ends with this code and has run nothing of
# public
untrapped()
{
	expect_code "$@"
	[[ $(trapped) == "0 0" ]] || {
		echo "${*:2}: ran what is in public, in source, buffer: $(trapped)"
		return 1
	}
}

@test "no tool, script or SQL file runs what is in schema public" {
	local file command
	export PHILOTES_SOURCE_ID=s
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, j jsonb)"
	hostile_objects
	for file in 001_schema roles; do
		untrapped 0 psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/$file.sql"
		untrapped 0 psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/$file.sql"
	done
	untrapped 0 psql_on "$PHILOTES_SOURCE_URL" -f "$root/sql/roles.sql"
	untrapped 0 philotes init
	untrapped 0 philotes init
	untrapped 0 philotes check
	psql_pinned "$PHILOTES_SOURCE_URL" -c "INSERT INTO public.t
	    SELECT n, repeat('x', 3000), 1.5, '{\"a\":1}'
	    FROM generate_series(1, 20) n" -c "UPDATE public.t SET n = 2" \
		-c "DELETE FROM public.t WHERE id = 2"
	untrapped 0 pg-cdc-read --until now --tables t --heartbeat 1s
	psql_pinned "$PHILOTES_SOURCE_URL" -At -c "SELECT lsn FROM
	    pg_logical_emit_message(false, 'x', 'y') lsn" >/dev/null
	start_pipeline --until now --messages
	await_pipeline
	untrapped 0 test "$reader_code$writer_code" = 00
	for command in "consumer add c" "consumer list" "consumer add d" \
	    "consumer drop d" "snapshot list" metrics check; do
		# shellcheck disable=SC2086 # splits into words
		untrapped 0 philotes $command
	done
	untrapped 1 philotes status --max-lag 0s
	untrapped 1 philotes status --json --max-lag 0s
	untrapped 0 buffer-batch --peek
	untrapped 0 buffer-batch --once --from 2026-01-01
	untrapped 69 buffer-batch --once --retries 0 -- false
	untrapped 0 buffer-batch --once --retries 0 --batch-size 4 \
		--on-failure dead-letter -- sh -c '! grep -q "\"id\":7,"'
	untrapped 69 buffer-batch --dead-letters --retries 0 -- false
	untrapped 0 buffer-batch --dead-letters -- cat
	untrapped 0 buffer-batch --once --consumer c
	untrapped 0 buffer-gc --dry-run --retention 0s
	untrapped 0 buffer-gc --retention 0s
	# the view, its triggers, and the functions for users
	untrapped 0 psql_pinned "$PHILOTES_BUFFER_URL" -c "
	    INSERT INTO philotes.cdc_events (source_id, schema_name, table_name,
	        operation, lsn, event_time, after_data, metadata)
	    VALUES ('x', '', '', 'INSERT', '0/1', now(), '{}', '{}')"
	untrapped 0 psql_on "$PHILOTES_BUFFER_URL" -c "
	    TABLE philotes.cdc_events" -c "TABLE philotes.cdc_pending" \
		-c "SELECT * FROM philotes.lag()" \
		-c "SELECT philotes.add_consumer('e')" \
		-c "SELECT philotes.mark_processed('e', 'x', 99)" \
		-c "SELECT philotes.drop_consumer('e')"
	untrapped 1 psql_on "$PHILOTES_BUFFER_URL" -c "
	    UPDATE philotes.cdc_events SET lsn = '0/1'"
	untrapped 0 pg-cdc-read --drop
	# and the trap would have been noticed
	src_psql "SELECT 1 = 1"
	buf_psql "SELECT now()"
	[[ $(trapped) == "1 1" ]]
}

# Names

# A colour and a title, CSI as one character, direction marks, a lone carriage
# return, separators of lines and fields, quotes; harmless characters stay.
hostile=$'x\e[31m\e]0;t\a\u009b7m\u202eabc\u2066\u061c\u200f\u2028\n\x1f\t\r"\\é😀'
harmless='x?[31m?]0;t??7m?abc????????"\é😀'

# clean: no line of $output and $stderr has anything hostile, and some show the
# name
clean()
{
	local line text=$output$'\n'$stderr
	while IFS= read -r line; do
		line=${line//$'\t'/}
		one_line "$line"
		[[ $REPLY == "$line" ]] || {
			echo "hostile: ${line@Q}"
			return 1
		}
	done <<<"$text"
	[[ $text == *'x?[31m?]0;t'* || $text == *'x\u001b[31m\u001b]0;t'* ||
	    $text == *'x?[31m?]0;t??7m?'* ]] || {
		echo "shows no name: $text"
		return 1
	}
}

quoted()
{
	printf '"%s"' "${1//\"/\"\"}"
}

# both CODE COMMAND ...: with messages as text and as JSON that jq can read
both()
{
	expect_code "$@"
	clean
	PHILOTES_LOG_FORMAT=json expect_code "$@"
	clean
	jq -e . <<<"$output$stderr" >/dev/null
}

@test "hostile names are never shown as they are" {
	local name
	name=$(quoted "$hostile")
	export PHILOTES_SOURCE_ID=$hostile PHILOTES_PUBLICATION=$hostile
	src_psql "CREATE SCHEMA $name; CREATE TABLE $name.$name ($name int);
	    CREATE TABLE $name.t ($name int PRIMARY KEY)"
	both 78 pg-cdc-read --create --tables "$name.$name"
	both 78 pg-cdc-read --create --tables "$name.none"
	expect_code 0 pg-cdc-read --create
	clean
	src_psql "ALTER PUBLICATION $name ADD TABLE $name.$name"
	both 0 pg-cdc-read --check
	expect_code 0 philotes check
	clean
	src_psql "INSERT INTO $name.t VALUES (1)"
	start_pipeline --until now
	await_pipeline
	[[ $reader_code$writer_code == 00 ]]
	expect_code 0 philotes consumer add "$hostile"
	clean
	expect_code 0 philotes consumer list
	clean
	[[ $output == "$harmless"$'\t'"$harmless"$'\t1\t'* ]]
	both 69 buffer-batch --consumer "$hostile" --once --retries 0 \
		-- sh -c 'exit 1' "$hostile"
	both 78 buffer-batch --consumer "$hostile" --once -- "$hostile"
	expect_code 1 philotes status --max-lag 0s
	clean
	[[ $output == "$harmless: degraded"* &&
	    $output == *$'\n'"  consumer \"$harmless\" is "* ]]
	expect_code 1 philotes status --json --max-lag 0s
	clean
	jq -r .source,.consumers[0].consumer <<<"$output" >"$BATS_TEST_TMPDIR/is"
	# the separators of rows and fields are replaced
	name=${hostile//[$'\x01'-$'\x1f']/?}
	diff "$BATS_TEST_TMPDIR/is" <(printf '%s\n' "$name" "$name")
	expect_code 0 philotes metrics
	clean
	name=${harmless//\\/\\\\}
	name=${name//\"/\\\"}
	[[ $output == *"philotes_buffer_depth{source=\"$name\",consumer=\"$name\"} 1"* ]]
	both 0 buffer-gc --dry-run
	[[ $(jq -r .held[0].consumer <<<"$output") == "$hostile" ]]
	expect_code 78 philotes consumer drop "$hostile!"
	clean
	both 64 pg-cdc-read "--$hostile"
	both 64 philotes "--$hostile"
	both 64 philotes "$hostile"
	both 78 philotes --config "$hostile" status
}

# Sets $text to a random text of characters that matter
random_text()
{
	local pieces=(x 7 ' ' '"' "\\" "\\u009b" $'\e[1m' $'\n' $'\t' $'\x7f' $'\x9b'
		$'\u0085' $'\u009b' $'\u00a0' $'\u061b' $'\u061c' $'\u061d'
		$'\u200d' $'\u200e' $'\u200f' $'\u2010' $'\u2027' $'\u2028'
		$'\u202e' $'\u202f' $'\u2065' $'\u2066' $'\u2069' $'\u206a'
		$'\ufeff' $'\uffff' é 😀 $'\xc2' $'\xe2' $'\xe2\x80' $'\xe0\x80\x80'
		$'\xed\xa0\x80' $'\xf0\x9f' $'\xf0\x80\x80\x80' $'\xf4\x90\x80\x80'
		$'\xf5' $'\xff' $'\xc0\xaf' $'\x80' $'\xbf' '%' "\$(" "\`")
	local n=$((RANDOM % 12 + 1))
	text=
	while ((n-- > 0)); do
		text+=${pieces[RANDOM % ${#pieces[@]}]}
	done
}

# The text is shown in the message on an unknown option.
@test "tools and scripts escape any text alike" {
	local seed=$RANDOM text said locale
	echo "# figure: seed $seed" >&3
	RANDOM=$seed
	for locale in {C,C.UTF-8}{,,,,,,,,,}; do
		random_text
		said="could not use the arguments: unknown option \"--$text\""
		run --separate-stderr pg-cdc-read "--$text"
		LC_ALL=$locale one_line "$said"
		[[ ${stderr%%$'\n'*} == "pg-cdc-read: error: $REPLY" ]] || {
			printf '%s\n%s\n' "$REPLY" "$stderr"
			return 1
		}
		PHILOTES_LOG_FORMAT=json run --separate-stderr pg-cdc-read "--$text"
		LC_ALL=$locale json_string "$said"
		[[ ${stderr%%$'\n'*} == *",\"message\":$REPLY}" ]] || {
			printf '%s\n%s\n' "$REPLY" "$stderr"
			return 1
		}
	done
}

@test "names that look the same are one metric sample, and rows stay rows" {
	local name
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	        table_name, operation, lsn, event_time, after_data, metadata)
	    SELECT id, '', '', 'INSERT', '0/1', now(), '{}', '{}'
	    FROM unnest(ARRAY[E'a\\n', E'a\\x1f', E'a\\x07', 'a?',
	        E'b\\nstore\\x1f7\\x1f7']) id"
	philotes consumer add c
	expect_code 0 philotes metrics
	[[ $(grep -c 'philotes_cdc_events_total{source="a?"} 1' <<<"$output") == 1 ]]
	[[ -z $(grep -v '^#' <<<"$output" | sed 's/ [^ ]*$//' | sort | uniq -d) ]]
	expect_code 1 philotes status --json
	[[ $(jq '.sources | length' <<<"$output") == 5 ]]
	[[ $(jq .buffer.partitions <<<"$output") != 7 ]]
	expect_code 0 philotes consumer list
	[[ $(wc -l <<<"$output") == 5 ]]
}

@test "a table's name cannot make verify say that nothing is lost" {
	local name=$'a\nlost 0\nb'
	src_psql "CREATE TABLE \"$name\" (id int PRIMARY KEY);
	    CREATE PUBLICATION philotes_pub FOR ALL TABLES;
	    INSERT INTO \"$name\" VALUES (1)"
	echo '{"source_id":"s","schema_name":"","table_name":"t","operation":"INSERT","metadata":{"commit_lsn":"0/1","seq":1}}' \
		>"$BATS_TEST_TMPDIR/events"
	expect_code 1 verify "$BATS_TEST_TMPDIR/events"
	[[ $output == *"lost 1"* && $output != *"lost 0"* ]]
	[[ $stderr == *'table public."a?lost 0?b": 1 rows missing'* ]]
}
