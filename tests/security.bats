#!/usr/bin/env bats
# Who may do what, and what nobody gets to see.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup()
{
	databases_up
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
}

teardown()
{
	kill_children
	databases_down
}

roles_up()
{
	psql_on "$PHILOTES_SOURCE_URL" -f "$root/sql/roles.sql"
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/roles.sql"
}

# as ROLE, the URL of the source or of the buffer
source_as()
{
	echo "${PHILOTES_SOURCE_URL/user=postgres/user=$1}"
}

buffer_as()
{
	echo "${PHILOTES_BUFFER_URL/user=postgres/user=$1}"
}

# may ROLE SQL ... on the buffer; nothing is changed
may()
{
	psql_on "$(buffer_as "$1")" -At -c "BEGIN; $2; ROLLBACK" >/dev/null
}

# may_not ROLE SQL ...: each is refused for lack of a right, not for another
# reason
may_not()
{
	local role=$1 sql
	shift
	for sql; do
		run psql_on "$(buffer_as "$role")" -At -c "$sql"
		[[ $status -ne 0 && ($output == *"permission denied"* ||
		    $output == *"must be owner"*) ]] || {
			echo "$role: $sql: $output"
			return 1
		}
	done
}

@test "each stage does its work as the role of its own" {
	local reader_url writer_url batcher_url
	roles_up
	roles_up
	reader_url=$(source_as philotes_reader)
	writer_url=$(buffer_as philotes_writer)
	batcher_url=$(buffer_as philotes_batcher)
	# the publication is the owner's, the slot the reader's
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	PHILOTES_SOURCE_URL=$reader_url pg-cdc-read --create
	src_psql "INSERT INTO t SELECT n, n FROM generate_series(1, 100) n"
	PHILOTES_SOURCE_URL=$reader_url PHILOTES_BUFFER_URL=$writer_url \
		start_pipeline --until now
	await_pipeline
	((reader_code == 0 && writer_code == 0))
	expect_code 0 buffer-batch -d "$batcher_url" --once
	[[ $(wc -l <<<"$output") == 100 ]]
	# a handler that fails, and one that does not
	src_psql "INSERT INTO t VALUES (101, 'x')"
	PHILOTES_SOURCE_URL=$reader_url PHILOTES_BUFFER_URL=$writer_url \
		start_pipeline --until now
	await_pipeline
	expect_code 69 buffer-batch -d "$batcher_url" --once --retries 1 -- false
	expect_code 0 buffer-batch -d "$batcher_url" --once -- cat
	# roles again beside what is there, and the schema
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	roles_up
	expect_code 0 buffer-batch -d "$batcher_url" --once --consumer b
	[[ $(wc -l <<<"$output") == 101 ]]
	[[ $(buf_psql "SELECT total FROM philotes.cdc_writes
	    ORDER BY write_no DESC LIMIT 1") == 101 ]]
}

@test "each role is refused what is not its work" {
	local role
	roles_up
	buf_psql "SELECT philotes.add_consumer('default')" >/dev/null
	for role in philotes_writer philotes_batcher philotes_gc; do
		may_not "$role" \
			"CREATE TABLE philotes.x ()" \
			"CREATE SCHEMA x" \
			"DROP TABLE philotes.cdc_log" \
			"DROP TABLE philotes.cdc_log_0" \
			"TRUNCATE philotes.cdc_log" \
			"TRUNCATE philotes.cdc_writes" \
			"DELETE FROM philotes.cdc_log" \
			"UPDATE philotes.cdc_log SET source_id = ''" \
			"UPDATE philotes.cdc_writes SET total = 0" \
			"DELETE FROM philotes.cdc_writes" \
			"UPDATE philotes.cdc_batches SET total = 0" \
			"DELETE FROM philotes.cdc_sources" \
			"UPDATE philotes.cdc_sources SET removed_to = 0" \
			"DELETE FROM philotes.cdc_consumers" \
			"SELECT philotes.drop_consumer('default')" \
			"SELECT setval('philotes.cdc_log_id_seq', 1)" \
			"CREATE ROLE x" \
			"CREATE OR REPLACE FUNCTION philotes.schema_version()
			    RETURNS int LANGUAGE sql AS 'SELECT 2'"
	done
	may_not philotes_writer \
		"SELECT * FROM philotes.cdc_log" \
		"SELECT * FROM philotes.cdc_events" \
		"SELECT * FROM philotes.cdc_dead_letters" \
		"SELECT * FROM philotes.cdc_batches" \
		"INSERT INTO philotes.cdc_batches VALUES ('a','a',1,1,1,1,1)" \
		"SELECT philotes.add_consumer('x')"
	may_not philotes_batcher \
		"INSERT INTO philotes.cdc_log (source_id) VALUES ('a')" \
		"INSERT INTO philotes.cdc_writes (source_id) VALUES ('a')" \
		"SELECT nextval('philotes.cdc_log_id_seq')" \
		"SELECT philotes.ensure_partitions()" \
		"UPDATE philotes.cdc_dead_letters SET after_data = NULL"
	may_not philotes_gc \
		"SELECT * FROM philotes.cdc_log" \
		"SELECT * FROM philotes.cdc_events" \
		"INSERT INTO philotes.cdc_log (source_id) VALUES ('a')" \
		"INSERT INTO philotes.cdc_batches VALUES ('a','a',1,1,1,1,1)" \
		"SELECT philotes.add_consumer('x')"
	may philotes_writer "SELECT philotes.ensure_partitions()"
	may philotes_batcher "SELECT * FROM philotes.cdc_events"
}

@test "the reader reads the WAL, and of the tables nothing" {
	local sql
	roles_up
	for sql in "SELECT * FROM t" "INSERT INTO t VALUES (1)" "DROP TABLE t" \
	    "CREATE TABLE x ()" "CREATE PUBLICATION x FOR TABLE t" \
	    "CREATE ROLE x"; do
		run psql_on "$(source_as philotes_reader)" -At -c "$sql"
		[[ $status -ne 0 && ($output == *"permission denied"* ||
		    $output == *"must be owner"*) ]]
	done
	# a role of the buffer has no business there
	server_psql src "CREATE ROLE somebody LOGIN"
	expect_code 77 pg-cdc-read -d "$(source_as somebody)" --create
	server_psql src "DROP ROLE somebody"
}

@test "a password in argv is refused, and repeated nowhere" {
	local tool flag
	for tool in pg-cdc-read buffer-write buffer-batch buffer-gc; do
		flag=--buffer
		[[ $tool != pg-cdc-read ]] || flag=--source
		for url in postgres://u:s3cr3t@localhost/d \
		    'host=localhost password=s3cr3t' \
		    postgresql://localhost/d?password=s3cr3t; do
			expect_code 64 "$tool" "$flag" "$url" </dev/null
			expect_error 'it has a password'
			[[ $stderr == *PGPASSFILE* ]]
			expect_code 64 "$tool" "$flag=$url" </dev/null
			expect_code 64 "$tool" -d "$url" </dev/null
			expect_code 64 "$tool" "$url" </dev/null
			expect_error 'without --?'
			[[ $stderr != *s3cr3t* ]]
			expect_code 64 "$tool" "--frob=$url" </dev/null
			[[ $stderr != *s3cr3t* ]]
			expect_code 64 philotes run "$url"
			[[ $stderr == *PGPASSFILE* && $stderr != *s3cr3t* ]]
		done
	done
}
