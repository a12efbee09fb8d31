#!/usr/bin/env bats
# As tests/snapshot.bats, for longer: interleavings at random, with kill -9 of
# reader, writer and both, and a crash of the source.  SEED repeats a run, ROUNDS
# says how many snapshots; with WITHOUT_RULE=N the reader leaves a rule out, and
# the test fails.

load ../helper
load ../snapshot

setup_file()
{
	clusters_up max_prepared_transactions=10
}

setup()
{
	use_ruled_reader
	seed=${SEED:-$((RANDOM % 10000))}
	RANDOM=$seed
	echo "# seed $seed" >&3
	databases_up
	snapshot_setup
}

@test "snapshots with kills at random moments" {
	local n
	for ((n = 0; n < ${ROUNDS:-200}; n += 20)); do
		start_load 3
		rounds $((${ROUNDS:-200} - n < 20 ? ${ROUNDS:-200} - n : 20))
		stop_load
		stop_pipeline || :
		start_pipeline --until snapshot
		await_pipeline
		[ "$reader_code$writer_code" = 00 ]
		judged
		kill_children
		databases_down
		databases_up
		snapshot_setup
	done
}

@test "a value of 100 MB" {
	src_psql "CREATE TABLE large (id int PRIMARY KEY, v text);
	    INSERT INTO large VALUES (1, repeat(E'0123456789\\\\\"\\nabc', 6250000));
	    ALTER PUBLICATION philotes_pub ADD TABLE large"
	request '["large"]'
	taken
	[ "$(jq -j 'select(.operation == "READ" and .table_name == "large")
	    | .after_data.v' "$stream" | md5sum)" = \
		"$(src_psql "SELECT md5(v) FROM large")  -" ]
}
