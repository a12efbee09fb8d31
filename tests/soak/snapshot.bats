#!/usr/bin/env bats
# As tests/snapshot.bats, for longer; and each rule of the snapshot left out,
# which must be seen.

load ../helper
load ../snapshot

setup()
{
	seed=${SEED:-$((RANDOM % 10000))}
	RANDOM=$seed
	echo "# seed $seed" >&3
	databases_up
	snapshot_setup
}

# without_rule N: what the stream says is wrong
without_rule()
{
	build_reader "$1"
	start_load 3
	rounds "${ROUNDS:-20}"
	stop_load
	stop_pipeline || :
	start_pipeline --until snapshot
	await_pipeline
	refute judged
}

@test "snapshots with kills at random moments" {
	build_reader
	start_load 3
	rounds "${ROUNDS:-60}"
	stop_load
	stop_pipeline || :
	start_pipeline --until snapshot
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	judged
}

@test "without a look at the relfilenode rows are missing (rule 3)" {
	without_rule 3
}

@test "without the rows read again by key values are missing (rule 4)" {
	without_rule 4
}

@test "without WAL kept from the marker before parts are missing (rule 6)" {
	without_rule 6
}

@test "with the last marker as the state parts are missing (rule 7)" {
	without_rule 7
}
