# From the source's WAL to processed batches on stdout, with the three tools
# and both servers on this machine, compared with the raw drain of the same
# WAL.
# shellcheck shell=bash

# shellcheck disable=SC2016 # for the inner shell
chain()
{
	local started
	slot_copy mix pgoutput
	buffer_fresh
	rm -f "$work/acks" "$work/done"
	mkfifo "$work/acks"
	command_of[chain]="buffer-batch -q --flush-interval 100ms \
> >(probe count $rows $work/done) & \
pg-cdc-read -q --ack $work/acks --until $(load_until mix) | \
buffer-write -q >$work/acks && \
for ((i = 0; i < 600; i++)); do [[ ! -s $work/done ]] || break; sleep 0.2; \
done; kill \$!; wait \$!"
	started=$EPOCHREALTIME
	bash -o pipefail -c "${command_of[chain]}" >"$work/said" 2>&1
	[[ -s $work/done ]]
	sample chain "$rows" "$(awk -v a="$started" -v b="$(<"$work/done")" \
		'BEGIN { print b / 1e6 - a }')"
	slot_drop run
	[[ $(buf "SELECT total FROM philotes.cdc_batches
	    ORDER BY first_id DESC LIMIT 1") -ge $rows ]]
}

bench_chain()
{
	local load=mix context=
	alternate "$pairs" raw chain
	result "WAL to processed batch on stdout / raw drain alone" "<= 1.4" \
		"$(ratio chain raw)" x chain raw
	result "WAL to processed batch on stdout" - "$(rate chain)" events/s \
		chain
}
