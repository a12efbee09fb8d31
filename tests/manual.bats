#!/usr/bin/env bats
# The manual's examples work as printed, in an installation.
#
# An example is a literal block in the section EXAMPLES, or anywhere in
# philotes(7).  bash runs the blocks of a page one after the other in an empty
# directory, and each must succeed.  Comments before a block give directives:
#
#   .\" test: setup COMMAND     run the command before the block
#   .\" test: check COMMAND     run it after the block; it must succeed
#   .\" test: until COMMAND     the block does not end by itself: stop it once
#                               the command succeeds
#   .\" test: file NAME         the block is the contents of this file
#   .\" test: output COMMAND    the block is what the command prints
#   .\" test: needs PROGRAM     skip the block if the program is older than the
#                               server
#   .\" test: crontab           the block is lines of a crontab(5)
#
# A prompt, "$ ", may precede a command.
#
# shellcheck source=SCRIPTDIR/helper.bash
load helper

# An example that runs something of tests/hostile.sql is found out.
setup_file()
{
	local name
	clusters_up
	for name in src buf; do
		psql_on "$(cluster_url "$BATS_FILE_TMPDIR/$name" template1)" \
			-f "$root/tests/hostile.sql"
	done
	make -s -C "$root" install "PREFIX=$BATS_FILE_TMPDIR/usr" \
		"SAN=" >/dev/null
}

# Services of the names that the pages use, in the file that libpq finds by
# HOME.
setup()
{
	databases_up
	bin=$BATS_TEST_TMPDIR/bin work=$BATS_TEST_TMPDIR/work
	mkdir "$bin" "$work"
	name=t$BATS_TEST_NUMBER
	server_psql buf "CREATE DATABASE ${name}w"
	server_psql buf "CREATE DATABASE ${name}n TEMPLATE template0"
	server_psql buf "CREATE DATABASE ${name}c TEMPLATE template0"
	{
		service shop src "$name"
		service buffer buf "$name"
		service warehouse buf "${name}w"
		service newbuffer buf "${name}n"
		service copy buf "${name}c"
	} >"$BATS_TEST_TMPDIR/services"
	stubs
	unset PHILOTES_BIN
	src_psql "CREATE TABLE orders
	    (id int PRIMARY KEY, status text, amount numeric)"
	for place in "src $name" "buf $name" "buf ${name}w" "buf ${name}c"; do
		server_psql "${place% *}" "ALTER DATABASE ${place#* }
		    SET search_path = public, pg_catalog"
	done
}

teardown()
{
	kill_children
	cluster_remove "$PHILOTES_STATE_DIR/buffer"
	databases_down
	server_psql buf "DROP DATABASE IF EXISTS ${name}w WITH (FORCE)"
	server_psql buf "DROP DATABASE IF EXISTS ${name}n WITH (FORCE)"
	server_psql buf "DROP DATABASE IF EXISTS ${name}c WITH (FORCE)"
}

service()
{
	printf '[%s]\nhost=%s\nport=5432\nuser=postgres\ndbname=%s\n' "$1" \
		"$(cluster_sockets "$BATS_FILE_TMPDIR/$2")" "$3"
}

# Stand-ins for programs that are missing here or must not run.
stubs()
{
	stub systemctl 'echo "systemctl $*" >>systemctl.calls'
	# shellcheck disable=SC2016 # expanded by the stub
	stub kcat 'while [ $# -gt 0 ]; do [ "$1" != -t ] || t=$2; shift; done
		exec cat >>"$KAFKA/$t"'
	export KAFKA=$work
}

stub()
{
	printf '#!/bin/sh\n%s\n' "$2" >"$bin/$1"
	chmod +x "$bin/$1"
}

# Turns a page's blocks into a script.
examples()
{
	awk -v all="$([[ $1 == *.7 ]] && echo 1)" \
	    -v prefix="$BATS_FILE_TMPDIR/usr" '
		function flush_block(  i)
		{
			n++
			printf "block=%d # line %d\n", n, start
			if (needs)
				printf "if has_client %s; then\n", needs
			printf "%s", before
			if (kind == "until" || kind == "crontab") {
				printf "cat >block.%d <<\"END OF BLOCK\"\n%s", n, text
				printf "END OF BLOCK\n"
				printf "run_%s block.%d <<\"END OF BLOCK\"\n%s\n", kind, n, arg
				printf "END OF BLOCK\n"
			} else if (kind == "file") {
				printf "cat >%s <<\"END OF BLOCK\"\n%s", arg, text
				printf "END OF BLOCK\nchmod +x %s\n", arg
			} else if (kind == "output") {
				printf "diff <(%s) - <<\"END OF BLOCK\"\n%s", arg, text
				printf "END OF BLOCK\n"
			} else
				printf "%s", text
			printf "%s", after
			if (needs)
				printf "fi\n"
			needs = before = after = kind = arg = text = ""
		}
		/^\.Sh / { on = all || $0 == ".Sh EXAMPLES" }
		!on { next }
		/^\.\\" test: / {
			sub(/^\.\\" test: /, "")
			word = $1
			sub(/^[a-z]+ ?/, "")
			if (word == "setup")
				before = before $0 "\n"
			else if (word == "check")
				after = after $0 "\n"
			else if (word == "needs")
				needs = $0
			else {
				kind = word
				arg = $0
			}
			next
		}
		/^\.Bd -literal/ { inside = 1; start = NR; next }
		/^\.Ed/ && inside { inside = 0; flush_block(); next }
		/^\.Dl / { start = NR; sub(/^\.Dl /, "") ; single = 1 }
		inside || single {
			sub(/^\$ /, "")
			gsub(/\\&/, ""); gsub(/\\-/, "-"); gsub(/\\e/, "\\")
			gsub("/usr/local", prefix)
			text = text $0 "\n"
			if (single) {
				single = 0
				flush_block()
			}
		}
		END { if (n == 0) print "no_examples" }
	' "$1"
}

# Functions for the examples and their directives.
prelude()
{
	cat <<-'EOT'
	set -euo pipefail
	trap 'echo "block $block: \"$BASH_COMMAND\" failed"' ERR
	trap 'kill $(jobs -p) 2>/dev/null || :' EXIT
	block=0
	no_examples() { echo "no examples"; false; }

	# run_until FILE, with the condition on stdin
	run_until()
	{
		local pid condition left=300
		condition=$(cat)
		setsid bash -euo pipefail "$1" >stdout 2>stderr &
		pid=$!
		until eval "$condition"; do
			((left-- > 0)) && kill -0 "$pid" || {
				cat stdout stderr
				echo "block $block: no \"$condition\""
				kill -TERM -- "-$pid"
				return 1
			}
			sleep 0.1
		done
		kill -TERM -- "-$pid"
		wait "$pid" || (($? == 143)) || { cat stderr; return 1; }
		while kill -0 -- "-$pid" 2>/dev/null; do sleep 0.1; done
	}

	run_crontab()
	{
		local line lines=0
		while read -r line; do
			lines=$((lines + 1))
			[[ $line =~ ^([^ ]+\ +){5}(.*)$ ]]
			sh -c "${BASH_REMATCH[2]}"
		done < <(grep -vE '^(#|$|[A-Z]+=)' "$1")
		((lines > 0))
	}

	# ask SERVICE SQL: prints the answer
	ask()
	{
		psql -qAt -d "service=$1" \
			-c "SET search_path = pg_catalog, pg_temp" -c "$2"
	}

	# inserts a row now and then
	source_changes()
	{
		(n=1000000; while psql -q -d service=shop -c "INSERT INTO orders
		    VALUES ($((++n)), 'new', 1)"; do sleep 0.3; done) &
	}

	# runs the statement once a reader uses the slot
	change_later()
	{
		(until philotes status --json | grep -q '"state":"active"'; do
			sleep 0.2
		done; psql -q -d service=shop -c "$1") &
	}

	# makes a slot, and stores so many events in the buffer
	buffer_filled()
	{
		philotes init
		psql -q -d service=shop -c "INSERT INTO orders
		    SELECT n, 'new', n FROM generate_series(1, $1) n"
		stored now
	}

	# stored now|snapshot: what there is to capture until then is stored
	stored()
	{
		mkfifo filling
		pg-cdc-read --ack filling --until "$1" | buffer-write >filling
		rm filling
	}

	warehouse_up()
	{
		psql -q -d service=warehouse -c "CREATE TABLE lines (line text)"
		echo "\copy lines FROM pstdin CSV QUOTE e'\x01' DELIMITER e'\x02'" \
			>load.sql
	}

	warehouse_has_lines()
	{
		[ "$(ask warehouse "SELECT count(*) > 0 FROM public.lines")" = t ]
	}

	buffer_has()
	{
		[ "$(ask buffer "SELECT count(*) > 0
		    FROM philotes.cdc_events WHERE table_name = '$1'")" = t ]
	}

	event_line()
	{
		echo '{"source_id":"x","schema_name":"","table_name":"t",' \
			'"operation":"INSERT","lsn":"0/1",' \
			'"event_time":"2026-11-25T12:00:00Z"}'
	}

	# makes a handler of that name that accepts everything
	handler()
	{
		printf '%s\n' '#!/bin/sh' 'cat >/dev/null' >"$1"
		chmod +x "$1"
	}

	# the source's tables, before the slot exists; what is done to them later
	safe="SET search_path = pg_catalog;"
	old_orders="$safe INSERT INTO public.orders
	    SELECT n, 'old', n / 7.0 FROM generate_series(101, 200) n"
	key_changes="$safe UPDATE public.orders SET id = -id WHERE id <= 104;
	    DELETE FROM public.orders WHERE id = 105"
	invoices="$safe CREATE TABLE public.invoices
	    (id int PRIMARY KEY, total numeric);
	    INSERT INTO public.invoices SELECT n, n FROM generate_series(1, 50) n"
	unseen_changes="$safe DELETE FROM public.orders WHERE id = 110;
	    UPDATE public.orders SET id = -id WHERE id = 111;
	    DO 'BEGIN
	        DELETE FROM public.invoices WHERE id <= 10;
	        INSERT INTO public.invoices VALUES (51, 0);
	    EXCEPTION WHEN undefined_table THEN -- it needs pg_dump
	    END'"

	orders_change="$safe
	    INSERT INTO public.orders SELECT max(id) + n, 'new', n * 1.25
	        FROM public.orders, generate_series(1, 9) n GROUP BY n;
	    UPDATE public.orders SET status = 'paid' WHERE id % 3 = 0;
	    UPDATE public.orders SET id = -id WHERE id % 7 = 0 AND id > 0;
	    DELETE FROM public.orders WHERE id % 11 = 0"

	orders_seen="SELECT count(*) FROM public.orders_seen
	    WHERE id BETWEEN 1 AND 20"

	rows_in()
	{
		local table
		for table in greetings orders invoices; do
			[ -z "$(ask "$1" "SELECT to_regclass('public.$table')")" ] ||
				ask "$1" "SELECT jsonb_agg(to_jsonb(r)
				    - 'copy_lsn' - 'copy_seq' ORDER BY id)
				    FROM public.$table r"
		done
	}

	copy_is_exact()
	{
		[ "$(rows_in shop)" = "$(rows_in copy)" ]
	}

	# without zeros at the end of a fraction
	sorted() { sed -E 's/(\.[0-9]*[1-9])0+$/\1/; s/\.0+$//' | sort; }

	# the rows on stdin, an object each
	are_orders()
	{
		diff <(jq -r '"\(.id)|\(.status)|\(.amount)"' | sorted) \
		    <(ask shop 'SELECT * FROM public.orders' | sorted)
	}

	orders_json_is_exact()
	{
		jq '.rows[] | del(.event)' orders.json | are_orders
	}

	orders_again()
	{
		buffer-batch --safe-numbers "$@" -- ./orders
	}

	orders_fails_without_its_batch()
	{
		local status=0
		PHILOTES_BATCH_EVENTS=1 ./orders </dev/null || status=$?
		((status == 75))
	}

	orders_json_has_stray_row()
	{
		jq -c '.rows["999"] = {id: 999, event: 1}' orders.json >stray
		mv stray orders.json
		if orders_json_is_exact >/dev/null; then false; fi
	}

	rows_sqlite()
	{
		python3 -c 'import sqlite3, sys
with sqlite3.connect("rows.sqlite") as db:
    for row in db.execute(sys.argv[1]):
        print(*row)' "$1"
	}

	rows_sqlite_is_exact()
	{
		rows_sqlite "SELECT data FROM row" | are_orders
	}

	rows_again()
	{
		buffer-batch --safe-numbers --serve "$@" -- ./rows
	}

	rows_sqlite_has_stray_row()
	{
		rows_sqlite "INSERT INTO row SELECT name, '[999]',
		    '{\"id\": 999}', 1 FROM row LIMIT 1"
		if rows_sqlite_is_exact >/dev/null; then false; fi
	}

	key_changes_came()
	{
		[ "$(ask copy 'SELECT count(*) FROM public.orders
		    WHERE id < 0')" = 4 ]
	}

	copy_has_invoices()
	{
		[ "$(ask copy 'SELECT count(*) FROM public.invoices')" = 50 ] &&
			copy_is_exact
	}

	run_aside()
	{
		PHILOTES_HANDLER=./apply philotes run >aside 2>&1 &
		aside=$!
	}

	stop_aside()
	{
		kill -TERM "$aside"
		wait "$aside"
	}

	wait_until()
	{
		local left=200
		until "$@"; do
			((left-- > 0)) || { cat aside; return 1; }
			sleep 0.1
		done
	}

	has_client() { [[ $UNFIT != "$1" ]] || { : >left.out; false; }; }
	file_has() { grep -q -- "$2" "$1" 2>/dev/null; }
	EOT
}

# Runs a page's examples with no more in the environment than a user would
# have.
try_page()
{
	local page=$root/man/$1 script=$BATS_TEST_TMPDIR/script unfit=''
	client_is_fit pg_dump || unfit=pg_dump
	{
		prelude
		examples "$page"
	} >"$script"
	mkdir "$work/home"
	ln -s "$BATS_FILE_TMPDIR/usr" "$work/usr"
	mv "$BATS_TEST_TMPDIR/services" "$work/home/.pg_service.conf"
	cd "$work" || return 1
	run env -i LC_ALL=C.UTF-8 HOME="$work/home" KAFKA="$work" \
		PREFIX="$BATS_FILE_TMPDIR/usr" UNFIT="$unfit" \
		PATH="$bin:$BATS_FILE_TMPDIR/usr/bin:/usr/bin:/bin" \
		PHILOTES_SOURCE_URL=service=shop \
		PHILOTES_BUFFER_URL=service=buffer \
		PHILOTES_SLOT="$PHILOTES_SLOT" PHILOTES_SOURCE_ID=shop \
		PHILOTES_BUFFER_FLUSH_INTERVAL=200ms \
		PHILOTES_STATE_DIR="$PHILOTES_STATE_DIR" \
		timeout 240 bash "$script" 3>&-
	((status == 0)) || {
		echo "$output"
		return 1
	}
	local url urls=("$PHILOTES_SOURCE_URL" "$PHILOTES_BUFFER_URL"
		"${PHILOTES_BUFFER_URL}w")
	# that has what pg_dump brought from the source
	[[ $1 != philotes.7 || -n $unfit ]] || urls+=("${PHILOTES_BUFFER_URL}c")
	for url in "${urls[@]}"; do
		[[ $(psql_pinned "$url" -At -c "SELECT is_called
		    FROM public.trap") == f ]] || {
			echo "what is in public has been run: $url"
			return 1
		}
	done
	[[ ! -e left.out ]] ||
		skip "but for those of $unfit, which is older than the server"
}

@test "examples of philotes(1)" {
	try_page philotes.1
}

@test "examples of philotes.conf(5)" {
	try_page philotes.conf.5
}

@test "examples of philotes-stream(5)" {
	try_page philotes-stream.5
}

@test "examples of pg-cdc-read(1)" {
	try_page pg-cdc-read.1
}

@test "examples of buffer-write(1)" {
	try_page buffer-write.1
}

@test "examples of buffer-batch(1)" {
	try_page buffer-batch.1
}

@test "examples of buffer-gc(1)" {
	try_page buffer-gc.1
}

@test "examples of philotes-handlers(7)" {
	try_page philotes-handlers.7
}

@test "examples of philotes(7), from an empty database on" {
	try_page philotes.7
}

@test "make install and uninstall put and remove all files where they are told" {
	local dest=$BATS_TEST_TMPDIR/dest file started=0
	make -s -C "$root" install "DESTDIR=$dest" PREFIX=/opt/philotes SAN=
	[[ $(find "$dest" -type f | wc -l) -gt 30 ]]
	[[ -z $(find "$dest" -type f ! -path "$dest/opt/philotes/*") ]]
	# every page, tool and script is there
	for file in "$root"/man/*.[157]; do
		[[ -f $dest/opt/philotes/share/man/man${file##*.}/${file##*/} ]]
	done
	for file in pg-cdc-read buffer-write buffer-batch buffer-gc philotes; do
		"$dest/opt/philotes/bin/$file" --version
	done
	[[ -x $dest/opt/philotes/lib/philotes/pg-exec ]]
	for file in "$root"/scripts/lib/*.sh "$root"/scripts/cluster.sh \
	    "$root"/sql/*.sql "$root"/sql/{schema,operator}/*.sql \
	    "$root"/share/handlers/*[!_]; do
		[[ -n $(find "$dest/opt/philotes/share/philotes" -type f \
			-path "*/${file#"$root"/}" -o -type f \
			-path "*/philotes/${file#"$root"/scripts/}" -o -type f \
			-path "*/philotes/${file#"$root"/share/}") ]]
	done
	# every unit starts an installed program
	for file in "$dest"/opt/philotes/lib/systemd/system/*; do
		refute grep -n /usr/local "$file"
		while read -r file; do
			[[ -x $dest$file ]]
			started=$((started + 1))
		done < <(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$file")
	done
	((started > 0))
	make -s -C "$root" uninstall "DESTDIR=$dest" PREFIX=/opt/philotes
	[[ -z $(find "$dest" -type f) ]]
}

@test "systemd-analyze verify has no complaint about the units" {
	type -P systemd-analyze || skip "no systemd-analyze here"
	run systemd-analyze verify --man=no \
		"$BATS_FILE_TMPDIR"/usr/lib/systemd/system/*
	[[ -z $output ]]
}
