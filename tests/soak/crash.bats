#!/usr/bin/env bats
# As tests/crash.bats, for longer.

load ../helper
load ../crash

setup()
{
	databases_up
	crash_setup
}

@test "either server stops where it stands, 100 times at random moments" {
	stop_at_random 100
}

@test "killed at each call, with transactions too large to be held" {
	writer_options=(--batch-size 1)
	killed_at_each writer sendto 12000
	killed_at_each writer recvfrom 12000
	killed_at_each reader write 12000
}
