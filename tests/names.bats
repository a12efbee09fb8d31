#!/usr/bin/env bats
# Unusual names wherever a name is given: of schemas, tables, columns,
# publications, databases and sources.

load helper

# Characters that SQL and JSON must escape, line ends, characters that are not
# ASCII, the longest possible name, and one that needs quotes only for its
# capital.
names=($'a"b\'c\\d' $'e\nf\tg' '😀.ü,;' $'\u2028 -- $$'
	"$(printf 'é%.0s' {1..31})x" Capital 'select' ' ' '%s%n')

quoted()
{
	printf '"%s"' "${1//\"/\"\"}"
}

@test "schemas, tables and columns of any name are published, listed and read" {
	local name n=0 list=() wanted=()
	for name in "${names[@]}"; do
		n=$((n + 1))
		list+=("$(quoted "$name").$(quoted "${names[-n]}")")
		src_psql "CREATE SCHEMA $(quoted "$name"); CREATE TABLE ${list[-1]}
		    ($(quoted "$name") int PRIMARY KEY, \"v,\"\"\" text)"
		wanted+=("$(jq -nc --arg a "$name" --arg b "${names[-n]}" \
			--argjson n $n '[$a, $b, [$a], {($a): $n, "v,\"": $a}]')")
	done
	src_psql "CREATE TABLE other (id int PRIMARY KEY)"
	export PHILOTES_TABLES
	PHILOTES_TABLES=$(IFS=, && echo "${list[*]}")
	expect_code 0 pg-cdc-read --create
	[ "$(src_psql "SELECT count(*) FROM pg_publication_tables")" = ${#names[@]} ]
	src_psql "ALTER PUBLICATION philotes_pub ADD TABLE other"
	src_psql "INSERT INTO other VALUES (1)"
	for n in "${!names[@]}"; do
		src_psql "INSERT INTO ${list[n]} VALUES ($((n + 1)), \$q\$${names[n]}\$q\$)"
	done
	# each table alone, while nothing is confirmed
	for n in "${!names[@]}"; do
		expect_code 0 pg-cdc-read --until now --tables "${list[n]}"
		[ "$(jq -c ".after_data[]" <<<"$output" | head -n 1)" = $((n + 1)) ]
		[ "$(wc -l <<<"$output")" = 1 ]
	done
	start_pipeline --until now
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	diff <(printf '%s\n' "${wanted[@]}") <(buf_psql "SELECT json_build_array(
	    schema_name, table_name, key_columns, after_data)
	    FROM philotes.cdc_log ORDER BY id" | jq -c .)
}

@test "a publication may have any name" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	local name
	for name in "${names[@]}"; do
		export PHILOTES_PUBLICATION=$name
		expect_code 0 pg-cdc-read --create
		src_psql "INSERT INTO t VALUES (1); DELETE FROM t"
		expect_code 0 pg-cdc-read --until now
		[ "$(wc -l <<<"$output")" = 2 ]
		expect_code 0 pg-cdc-read --drop
	done
	[ "$(src_psql "SELECT count(*) FROM pg_publication")" = 0 ]
}

@test "a database may have any name, and the source is named after it" {
	local name=$'d"b\'\\ \n😀' url
	url=$(cluster_url "$BATS_FILE_TMPDIR/src")
	server_psql src "CREATE DATABASE $(quoted "$name")"
	name=${name//\\/\\\\}
	export PHILOTES_SOURCE_URL=${url%dbname=*}dbname=\'${name//\'/\\\'}\'
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1)"
	start_pipeline --until now
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(buf_psql "SELECT source_id FROM philotes.cdc_events")" = \
	    $'postgres-d"b\'\\ \n😀' ]
	expect_code 0 pg-cdc-read --drop
	server_psql src "DROP DATABASE $(quoted $'d"b\'\\ \n😀')"
}

@test "invalid names are refused: too long, not UTF-8, a slot not in lower case" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	expect_code 64 pg-cdc-read --publication "$(printf '%064d' 1)"
	expect_code 64 pg-cdc-read --publication $'\xff'
	expect_code 64 pg-cdc-read --tables $'"\xff"'
	expect_code 64 pg-cdc-read --source-id $'\xff'
	PHILOTES_TABLES=$'\xc3' expect_code 78 pg-cdc-read
	local long
	long=$(printf '%0512d' 1)
	expect_code 0 pg-cdc-read --source-id "$long" --until now
	expect_code 64 pg-cdc-read --source-id "x$long"
	PHILOTES_SOURCE_ID=x$long expect_code 78 pg-cdc-read
	expect_code 64 pg-cdc-read --slot 'a-b'
	expect_code 64 pg-cdc-read --slot 'ä'
}

@test "--tables prints changes of a table that it cannot place instead of losing them" {
	src_psql "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id);
	    CREATE TABLE p1 PARTITION OF p DEFAULT;
	    CREATE TABLE other (id int PRIMARY KEY);
	    CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	start_pipeline --tables p
	wait_for src_psql "SELECT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" t
	src_psql "ALTER TABLE p DETACH PARTITION p1;
	    CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
	    INSERT INTO other VALUES (0); INSERT INTO p VALUES (2);
	    INSERT INTO p1 VALUES (1); DROP TABLE p2"
	src_psql "INSERT INTO other VALUES (1); INSERT INTO p1 VALUES (3)"
	wait_for buf_psql "SELECT string_agg(table_name, ' ' ORDER BY id)
	    FROM philotes.cdc_log" "p2 p1 p1"
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
}
