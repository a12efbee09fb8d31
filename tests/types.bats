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
	pg-cdc-read --until now >"$at/stream"
	[ -s "$at/stream" ]
	src_psql "ALTER DATABASE $PHILOTES_SLOT RESET ALL"
	said=$(psql_on "$PHILOTES_SOURCE_URL" -v stream="$at/stream" \
		-f "$root/tests/types_check.sql")
	echo "$said"
	[ -z "$said" ]
	# and the buffer can hold all of it
	buffer-write <"$at/stream"
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = \
	    "$(wc -l <"$at/stream")" ]
}
