# What the number of tables costs the reader: the time for an event that is
# left out, with few and with many published tables, and the memory for each
# table seen.
# shellcheck shell=bash

tables_make()
{
	progress "making $tables tables"
	src "CREATE SCHEMA many" >/dev/null
	psql_on "$PHILOTES_SOURCE_URL" -c "SET synchronous_commit = off" \
		-c "DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP
		EXECUTE format('CREATE TABLE many.t%s (id int PRIMARY KEY)', i);
		IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END \$\$"
	src "CREATE PUBLICATION few FOR TABLE orders, fence;
	     CREATE PUBLICATION many FOR TABLE orders, fence,
	     TABLES IN SCHEMA many"
	slot_make left
	insert_orders "$left_out"
	load_ends left "$left_out"
}

# Leaves out all events but the one of table fence.
left_out_of()
{
	slot_copy left pgoutput
	timed "left_out_of_$1" "$left_out" "pg-cdc-read -q --publication $1 \
--tables fence --until $(load_until left) >$work/read"
	slot_drop run
}

left_out_of_few()
{
	left_out_of few
}

left_out_of_many()
{
	left_out_of many
}

# A table of 100 columns is created, gets a row and is dropped, that many
# times.
tables_come_and_go()
{
	psql_on "$PHILOTES_SOURCE_URL" -c "SET synchronous_commit = off" \
		-c "DO \$\$ DECLARE cols text := (SELECT string_agg('column_number_'
		    || i || ' int', ',') FROM generate_series(1, 100) i);
		BEGIN FOR i IN 1 .. $1 LOOP
		EXECUTE 'CREATE TABLE coming (id int PRIMARY KEY,' || cols || ')';
		INSERT INTO coming (id) VALUES (1);
		DROP TABLE coming; COMMIT; END LOOP; END \$\$"
}

# peak_after N: the peak memory of a reader that runs while N tables come and
# go
peak_after()
{
	local n
	src "CREATE PUBLICATION everything FOR ALL TABLES"
	slot_make run
	measure "$work/peak.tables" pg-cdc-read -q --publication everything \
		>"$work/read" &
	tables_come_and_go "$1"
	until n=$(wc -l <"$work/read") && ((n >= $1)); do
		sleep 0.1
	done
	pkill -TERM -P $! pg-cdc-read
	wait $!
	slot_drop run
	src "DROP PUBLICATION everything"
	awk '{ print $4 }' "$work/peak.tables"
}

bench_tables()
{
	local tables=$((quick ? 1000 : 10000)) left_out=$((rows / 2)) few many
	local seen=$((quick ? 500 : 3000))
	tables_make
	alternate "$pairs" left_out_of_few left_out_of_many
	slot_drop left
	result "an event that is left out, $tables published tables / 2" \
		"<= 1.1" "$(ratio left_out_of_many left_out_of_few)" x \
		left_out_of_many left_out_of_few
	progress "$seen tables come and go"
	few=$(peak_after 10)
	many=$(peak_after "$seen")
	result "pg-cdc-read, memory for each of $seen tables it has seen" \
		"<= 2" "$(awk -v a="$few" -v b="$many" -v n="$seen" \
			'BEGIN { printf "%.2f", (b > a ? b - a : 0) / n }')" KiB
	src "DROP PUBLICATION few, many"
	src "DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP
	     EXECUTE format('DROP TABLE many.t%s', i);
	     IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END \$\$"
}
