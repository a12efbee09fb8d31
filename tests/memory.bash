# What the tests of memory share.
# shellcheck shell=bash

# What the server itself keeps in memory is of no interest here.
memory_clusters_up()
{
	clusters_up logical_decoding_work_mem=4MB max_wal_size=4GB
}

# peak PID: the most it has had resident, in KiB
peak()
{
	awk '/^VmHWM:/ { print $2 }' "/proc/$1/status"
}

# figure TEXT: shown also if the test passes
figure()
{
	echo "# figure: $*" >&3
}
