#!/usr/bin/env bats
# share/handlers/iceberg: mirrors and logs in Iceberg tables.

load ../helper
load ../handlers
load pypi

# shellcheck disable=SC2034 # for the handler
lake_up()
{
	local prefix=PYICEBERG_CATALOG__LAKE dir=$BATS_TEST_TMPDIR/lake
	mkdir "$dir"
	export "${prefix}__TYPE=sql" "${prefix}__URI=sqlite:///$dir/catalog.db" \
		"${prefix}__WAREHOUSE=file://$dir"
}

@test "mirrors equal the source, served and a command a batch, also again" {
	lake_up
	run_workload 300
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 buffer-batch --to '#700' --schema --batch-size 500 -- \
		"$handlers/iceberg" lake
	expect_code 0 buffer-batch --once --serve --batch-size 800 -- \
		"$handlers/iceberg" lake
	[[ $stderr == *"keyless\" has no key, and is not mirrored"* ]]
	src_psql "DROP TABLE keyless"
	same iceberg lake
	expect_code 0 buffer-batch --from '#300' --schema -- \
		"$handlers/iceberg" lake
	same iceberg lake
}
