#!/usr/bin/env bats
# Every type that PostgreSQL has, as an event shows it by philotes-stream(5).

load helper

@test "each type, with its extremes and its arrays, is the server's text" {
	local at=$BATS_TEST_TMPDIR said
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	psql_on "$PHILOTES_SOURCE_URL" -f "$root/tests/types_make.sql"
	# settings of the database that must not matter
	src_psql "ALTER DATABASE $PHILOTES_SLOT SET datestyle = 'German';
	    ALTER DATABASE $PHILOTES_SLOT SET bytea_output = 'escape';
	    ALTER DATABASE $PHILOTES_SLOT SET extra_float_digits = -5;
	    ALTER DATABASE $PHILOTES_SLOT SET intervalstyle = 'iso_8601';
	    ALTER DATABASE $PHILOTES_SLOT SET timezone = 'Asia/Tokyo';
	    ALTER DATABASE $PHILOTES_SLOT SET search_path = m"
	pg-cdc-read --until now --schema >"$at/stream"
	[ -s "$at/stream" ]
	src_psql "ALTER DATABASE $PHILOTES_SLOT RESET ALL"
	said=$(psql_on "$PHILOTES_SOURCE_URL" -v stream="$at/stream" \
		-f "$root/tests/types_check.sql")
	echo "$said"
	[ -z "$said" ]
	# and the buffer can hold all of it
	buffer-write <"$at/stream"
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = \
	    "$(grep -vc '^{"control"' "$at/stream")" ]
}

@test "--safe-numbers: numbers that a double does not keep are strings, not in documents" {
	local at=$BATS_TEST_TMPDIR plain safe
	src_psql "CREATE TABLE t (id int PRIMARY KEY, i bigint, n numeric,
	    f float8, a bigint[], m numeric[], j json, b jsonb, x text)"
	src_psql "ALTER TABLE t REPLICA IDENTITY FULL"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1, 9007199254740993, 0.1, 0.1,
	    '{1,-9223372036854775808,NULL}',
	    '{{1.5,NaN},{123456789.1234567890123,1e400}}',
	    '{\"k\":9007199254740993}', '[9007199254740993, 1]',
	    '9007199254740993');
	    UPDATE t SET i = 1, n = -1234567890.123456789, f = '1e308'" \
	    >/dev/null
	plain='{"id":1,"i":9007199254740993,"n":0.1,"f":0.1,"a":[1,-9223372036854775808,null],"m":[[1.5,"NaN"],[123456789.1234567890123,1'$(printf '%0400d' 0)']],"j":{"k":9007199254740993},"b":[9007199254740993, 1],"x":"9007199254740993"}'
	safe='{"id":1,"i":"9007199254740993","n":0.1,"f":0.1,"a":[1,"-9223372036854775808",null],"m":[[1.5,"NaN"],["123456789.1234567890123",1'$(printf '%0400d' 0)']],"j":{"k":9007199254740993},"b":[9007199254740993, 1],"x":"9007199254740993"}'
	safe=${safe/,1000/,\"1000} safe=${safe/000]]/000\"]]}
	pg-cdc-read --until now >"$at/plain"
	pg-cdc-read --until now --safe-numbers >"$at/safe"
	[[ $(head -n 1 "$at/plain") == *"\"after_data\":$plain,"* ]]
	[[ $(head -n 1 "$at/safe") == *"\"after_data\":$safe,"* ]]
	[[ $(tail -n 1 "$at/safe") == *"\"before_data\":$safe,"* ]]
	[[ $(tail -n 1 "$at/safe") == *'"i":1,"n":"-1234567890.123456789","f":"1e+308"'* ]]
	# from the buffer the same
	buffer-write <"$at/plain"
	strip() { sed -E 's/"id":[0-9]+,("source_id")/\1/
		s/,"created_at":"[^"]*"\}$/}/'; }
	buffer-batch --once --consumer a | strip | cmp - "$at/plain"
	buffer-batch --once --consumer b --safe-numbers | strip |
		cmp - "$at/safe"
	buffer-batch --once --consumer c --safe-numbers -- cat | strip |
		cmp - "$at/safe"
}
