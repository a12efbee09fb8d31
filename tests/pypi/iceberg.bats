#!/usr/bin/env bats
# share/handlers/iceberg: mirrors and logs in Iceberg tables.

load ../helper
load ../handlers
load pypi

@test "mirrors equal the source, served and a command a batch, also again" {
	lake_up
	run_workload 300
	expect_code 0 buffer-batch --to '#700' --schema --batch-size 500 -- \
		"$handlers/iceberg" lake
	expect_code 0 buffer-batch --once --serve --batch-size 800 -- \
		"$handlers/iceberg" lake
	# not those whose rows ALTER TABLE has changed
	same iceberg lake dated documents full_id by_index lines types part_us
	[[ $stderr == *"keyless\" has no key, and is not mirrored"* ]]
	src_psql "DROP TABLE keyless"
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 buffer-batch --once --serve --batch-size 800 -- \
		"$handlers/iceberg" lake
	same iceberg lake
	expect_code 0 buffer-batch --from '#300' --schema -- \
		"$handlers/iceberg" lake
	same iceberg lake
	logged
}

# the logs have each event once
logged()
{
	buf_psql "SELECT id FROM philotes.cdc_log WHERE table_name <> ''
	    ORDER BY id" >"$BATS_TEST_TMPDIR/ids"
	python3 - <<-'EOT' | sort -n | diff "$BATS_TEST_TMPDIR/ids" -
	from pyiceberg.catalog import load_catalog
	lake = load_catalog("lake")
	for name in lake.list_tables("public"):
	    if name[1].endswith("__log"):
	        ids = lake.load_table(name).scan().to_arrow()["philotes_id"]
	        print(*ids.to_pylist(), sep="\n")
	EOT
}

@test "killed at random; rows that were deleted unheard go with a snapshot" {
	lake_up
	run_workload 100
	src_psql "DROP TABLE keyless"
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	killing_handler pwrite64 120 "$handlers/iceberg" lake
	deliver_killing 100
	same iceberg lake
	logged
	unheard "DELETE FROM orders WHERE id < 20; DELETE FROM part"
	refute same iceberg lake
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 buffer-batch --once --serve -- "$handlers/iceberg" lake
	same iceberg lake
	logged
}
