# Killing processes and servers, and what must hold afterwards.  `load crash`
# after `load helper`.
#
#   crash_setup            makes table t on the source, and the slot
#   transactions [N [M]]   N times three transactions on t, of 3, 1 and M rows
#   whole                  demands that the buffer holds each event once, in
#                          order, and whole transactions only
#   complete               demands that it is whole and has every source row
#   catch_up               runs the pipeline up to now, repeatedly while its
#                          exit codes allow a restart
#   start_sampling         begins to compare confirmed_flush_lsn with the stored
#   end_sampling           checkpoint; ends, and demands that it never was ahead
#   reader_by, writer_by   words before the command in start_pipeline
#   writer_options         words after buffer-write
# shellcheck shell=bash disable=SC2154,SC2034

crash_setup()
{
	reader_by=() writer_by=() writer_options=()
	export PHILOTES_SOURCE_ID=s
	psql_on "$PHILOTES_SOURCE_URL" -c "CREATE SEQUENCE txs;
	    CREATE TABLE t (tx int, k int, n int, PRIMARY KEY (tx, k))"
	pg-cdc-read --create >/dev/null
}

transactions()
{
	local n i insert=()
	for ((i = 0; i < ${1:-1}; i++)); do
		for n in 3 1 "${2:-40}"; do
			insert+=(-c "INSERT INTO t SELECT x, k, $n FROM
			    nextval('txs') x, generate_series(1, $n) k")
		done
	done
	psql_on "$PHILOTES_SOURCE_URL" "${insert[@]}"
}

pipeline_reader()
{
	exec "${reader_by[@]}" pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" "$@" \
		>"$BATS_TEST_TMPDIR/stream" 2>>"$BATS_TEST_TMPDIR/reader.log"
}

pipeline_writer()
{
	exec "${writer_by[@]}" buffer-write "${writer_options[@]}" \
		<"$BATS_TEST_TMPDIR/stream" \
		>"$BATS_TEST_TMPDIR/acks" 2>>"$BATS_TEST_TMPDIR/writer.log"
}

whole()
{
	local found
	found=$(buf_psql "WITH e AS (
	        SELECT id, commit_lsn, seq, after_data->>'tx' AS tx,
	            (after_data->>'n')::int AS n,
	            lag(commit_lsn) OVER w AS last_lsn, lag(seq) OVER w AS last
	        FROM philotes.cdc_log WINDOW w AS (ORDER BY id)),
	    torn AS (SELECT FROM e GROUP BY tx, commit_lsn
	        HAVING count(*) <> max(n) OR max(seq) <> max(n))
	    SELECT count(*) FILTER (WHERE commit_lsn < last_lsn OR seq <>
	            CASE WHEN commit_lsn = last_lsn THEN last + 1 ELSE 1 END),
	        (SELECT count(*) FROM torn), count(tx) - count(*),
	        (SELECT sum(events) FROM philotes.cdc_writes) - count(*)
	    FROM e")
	[[ $found =~ ^0\|0\|0\|0?$ ]] || {
		echo "disorder, torn, foreign, not in the ledger: $found"
		return 1
	}
}

complete()
{
	local there here
	whole
	there=$(src_psql "SELECT count(*), md5(string_agg(concat_ws(',', tx, k, n),
	    ';' ORDER BY tx, k)) FROM t")
	here=$(buf_psql "SELECT count(*), md5(
	    string_agg(concat_ws(',', after_data->>'tx', after_data->>'k',
	    after_data->>'n'), ';' ORDER BY (after_data->>'tx')::int,
	    (after_data->>'k')::int)) FROM philotes.cdc_log")
	[[ $there == [1-9]*'|'?* ]]
	[ "$there" = "$here" ]
}

catch_up()
{
	local tries=0
	while :; do
		start_pipeline --until now
		await_pipeline
		((reader_code != 0 || writer_code != 0)) || return 0
		((++tries < 60)) || return 1
		[[ $reader_code =~ ^(74|75)$ && $writer_code =~ ^(0|74|75)$ ]] ||
			return 1
		sleep 0.1
	done
}

# lsn TEXT: prints it as a number
lsn()
{
	echo $((16#${1%/*} << 32 | 16#${1#*/}))
}

# The slot is read before the checkpoint: if the slot is ahead even so, the
# source may remove WAL of events that are not stored yet.
sample()
{
	local flush checkpoint
	while [ ! -e "$BATS_TEST_TMPDIR/sampled" ]; do
		flush=$(src_psql "SELECT confirmed_flush_lsn FROM
		    pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'") ||
			continue
		checkpoint=$(buf_psql "SELECT checkpoint
		    FROM philotes.newest_write('s')") || continue
		[[ -n $flush && -n $checkpoint ]] || continue
		(($(lsn "$flush") <= $(lsn "$checkpoint"))) || echo -n 'AHEAD '
		echo "$flush $checkpoint"
		sleep 0.02
	done >"$BATS_TEST_TMPDIR/samples" 2>/dev/null
}

start_sampling()
{
	rm -f "$BATS_TEST_TMPDIR/sampled"
	child sample
	sampler=$!
}

end_sampling()
{
	: >"$BATS_TEST_TMPDIR/sampled"
	wait "$sampler"
	[ -s "$BATS_TEST_TMPDIR/samples" ]
	refute grep AHEAD "$BATS_TEST_TMPDIR/samples"
}

# killed_at_each reader|writer SYSCALL [M]: kills the tool at its first call,
# at its second, and so on until a run ends by itself; the largest transaction
# has M rows
killed_at_each()
{
	local -n by=${1}_by code=${1}_code
	local n=1
	# ASan's leak check does not work in a traced process
	local -x ASAN_OPTIONS=detect_leaks=0
	catch_up
	start_sampling
	while :; do
		transactions 1 "${3-}"
		by=(strace -qq -o /dev/null -e "trace=$2"
			-e "inject=$2:signal=SIGKILL:when=$n")
		start_pipeline --until now
		await_pipeline
		whole
		((code != 0)) || break
		# the server may still hold the session of the run before
		((code == 75)) || n=$((n + 1))
		[[ $reader_code =~ ^(0|74|75|137)$ ]]
		[[ $writer_code =~ ^(0|74|75|137)$ ]]
	done
	echo "# $1: $((n - 1)) calls of $2" >&3
	((n > 1))
	by=()
	catch_up
	complete
	end_sampling
}

# stop_at_random N: stops one of the servers immediately, N times at random,
# while the pipeline runs under load.  SEED repeats a run.
stop_at_random()
{
	local seed=${SEED:-$RANDOM} server
	RANDOM=$seed
	echo "# seed $seed" | tee -a /dev/fd/3
	catch_up
	start_sampling
	child keep_loading
	local load=$!
	child keep_running
	local running=$!
	for ((i = 0; i < $1; i++)); do
		sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
		server=buf
		((RANDOM % 2)) || server=src
		stop_server "$server" immediate
		start_server "$server"
		((i % 10 != 9)) || whole
	done
	: >"$BATS_TEST_TMPDIR/enough"
	wait "$load"
	wait "$running"
	catch_up
	complete
	end_sampling
}

keep_loading()
{
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		transactions 5 2>/dev/null || sleep 0.1
	done
}

# Ends with a failure if a code of the pipeline does not allow a restart.
keep_running()
{
	local children=()
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		start_pipeline --until now
		await_pipeline
		[[ $reader_code =~ ^(0|74|75)$ && $writer_code =~ ^(0|74|75)$ ]] ||
			return 1
	done
}
