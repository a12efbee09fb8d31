#!/usr/bin/env bats
# tests/crash.bats for longer.

load ../helper
load ../crash

setup()
{
	databases_up
	crash_setup
}

@test "either server stops immediately at random moments, 100 times" {
	stop_at_random 100
}

# Transactions too large for memory are sent as they come.

@test "buffer-write is killed at its Nth sendto, in large transactions" {
	killed_at_each writer sendto 5000
}

@test "buffer-write is killed at its Nth recvfrom, in large transactions" {
	killed_at_each writer recvfrom 5000
}

@test "pg-cdc-read is killed at its Nth write, in large transactions" {
	killed_at_each reader write 5000
}

@test "buffer-write is killed at its Nth sendto, one transaction a commit" {
	# shellcheck disable=SC2034 # used by pipeline_writer
	writer_options=(--batch-size 1)
	killed_at_each writer sendto
}
