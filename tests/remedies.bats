#!/usr/bin/env bats
# What people type wrong, or rightly and in vain, is answered by a message that
# names it and says what to do.

load helper
load buffer

@test "philotes and the tools agree on what a duration is" {
	local line text ms n=0
	# shellcheck source=SCRIPTDIR/../scripts/lib/config.sh
	. "$root/scripts/lib/config.sh"
	while IFS= read -r line; do
		text=${line%$'\t'*} ms=${line##*$'\t'} n=$((n + 1)) REPLY=
		if ((ms < 0)); then
			refute parse_duration "$text"
			[ -z "$text" ] ||
				expect_code 64 buffer-gc --retention "$text" --help
		else
			parse_duration "$text"
			[ "$text $REPLY" = "$text $(((ms + 999) / 1000))" ]
			expect_code 0 buffer-gc --retention "$text" --help
		fi
	done < <(LC_ALL=C "$PHILOTES_BIN/unit/num" durations)
	((n > 50))
}
