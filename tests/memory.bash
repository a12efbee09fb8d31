# Shared by the memory tests.
# shellcheck shell=bash

# Keeps the servers' own memory small.
memory_clusters_up()
{
	clusters_up logical_decoding_work_mem=4MB max_wal_size=4GB
}

# peak PID: its peak resident memory in KiB
peak()
{
	awk '/^VmHWM:/ { print $2 }' "/proc/$1/status"
}

# figure TEXT: prints it even if the test passes
figure()
{
	echo "# figure: $*" >&3
}
