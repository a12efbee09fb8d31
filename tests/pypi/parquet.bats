#!/usr/bin/env bats
# share/handlers/parquet: the changes in files.

load ../helper
load ../handlers
load pypi

# read_back: events of the files, as lines of id, operation and the values
read_back()
{
	python3 - "$1" <<-'EOT'
	import glob, json, sys
	import pyarrow.parquet as pq
	position = int(open(glob.glob(sys.argv[1] + "/*/position")[0]).read())
	for path in glob.glob(sys.argv[1] + "/*/*/*.parquet"):
	    file = pq.ParquetFile(path)
	    line = json.loads(file.schema_arrow.metadata[b"philotes.schema"])
	    names = [c["name"] for c in line["columns"]]
	    first, last = path.split("/")[-1].removesuffix(".parquet").split("-")
	    rows = file.read().to_pylist()
	    assert [rows[0]["philotes_id"], rows[-1]["philotes_id"]] == \
	        [int(first), int(last)] and int(last) <= position
	    for row in rows:
	        print(row["philotes_id"], row["philotes_operation"],
	              line["table_name"], sum(row[n] is not None for n in names) +
	              len(json.loads(row["philotes_unfit"] or "{}")))
	EOT
}

@test "each event is in one file, whatever is killed and comes again" {
	local dir=$BATS_TEST_TMPDIR/files size
	run_workload 300
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	buf_psql "SELECT id, operation, table_name,
	    CASE operation WHEN 'SNAPSHOT' THEN 0 ELSE (SELECT count(*)
	        FROM json_each_text(coalesce(after_data, before_data))
	        WHERE value IS NOT NULL) END
	    FROM philotes.cdc_log WHERE table_name <> '' ORDER BY id" |
		tr '|' ' ' >"$BATS_TEST_TMPDIR/events"
	expect_code 0 buffer-batch --to '#700' --schema --batch-size 130 -- \
		"$handlers/parquet" "$dir"
	# it ends between two files of a batch, again and again
	for size in 1 2 3; do
		expect_code 69 env FILES=$size buffer-batch --once --serve \
			--retries 0 --batch-size $((size * 500)) -- python3 -c "
import os, sys
sys.argv = ['parquet', '$dir']
left, replace = int(os.environ['FILES']) + 1, os.replace
def counted(old, new):
    global left
    left -= 1
    left >= 0 or os.kill(os.getpid(), 9)
    replace(old, new)
os.replace = counted
sys.path.insert(0, '$handlers')
exec(open('$handlers/parquet').read())"
	done
	expect_code 0 buffer-batch --once --serve -- "$handlers/parquet" "$dir"
	read_back "$dir" | sort -n | diff "$BATS_TEST_TMPDIR/events" -
	# a replay changes nothing
	expect_code 0 buffer-batch --from '#200' --schema -- \
		"$handlers/parquet" "$dir"
	read_back "$dir" | sort -n | diff "$BATS_TEST_TMPDIR/events" -
}
