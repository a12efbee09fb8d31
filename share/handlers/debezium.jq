#!/usr/bin/jq -cnf
# debezium.jq: turns the lines of `buffer-batch --schema` into the envelopes of
# Debezium's connector for PostgreSQL, a line each; see philotes-handlers(7).
#
# They are those of Debezium with schemas.enable=false (there is no schema part)
# and decimal.handling.mode=string.  What differs:
#
# - An UPDATE that changes the key is one envelope, whose "before" has the old
#   key; Debezium sends a delete and a create.  No tombstone follows a delete.
# - Dates, times, intervals, bytea and all types of an extension are
#   PostgreSQL's text, and arrays are arrays; Debezium sends numbers since an
#   epoch, and Base64.
# - ts_ms is when the buffer stored the event, so that it is the same when the
#   event comes again.  READs have the snapshot "incremental".  source has no
#   db, sequence and xmin.
# - A MESSAGE, and a SNAPSHOT, which marks how far a snapshot is, are left out.
# - jq before 1.7 reads numbers as binary floating point: with `buffer-batch
#   --safe-numbers` those that lose digits are strings.  Zeros at the end of a
#   decimal are lost.

# 0/1A2B3C4 as a number
def lsn:
	split("/") | .[0] + ("0000000" + .[1])[-8:]
	| reduce (explode[] | if . > 64 then . - 55 else . - 48 end) as $digit
		(0; . * 16 + $digit);

# a time of RFC 3339 in milliseconds
def ms: (.[:19] + "Z" | fromdate) * 1000 + (.[20:23] | tonumber);

def op: {INSERT: "c", UPDATE: "u", DELETE: "d", READ: "r", TRUNCATE: "t"};

# value TYPE IS_TEXT: in Debezium's form
def value($type; $is_text):
	if . == null then .
	elif $type | startswith("numeric") and (endswith("[]") | not) then tostring
	elif $type == "json" or $type == "jsonb" then
		if $is_text then . else tojson end
	else . end;

# row EVENT SCHEMA: of before_data or after_data
def row($event; $schema):
	if . == null then . else
		. as $row
		| reduce $schema.columns[] as {$name, $type} ({};
			if $row | has($name) then
				.[$name] = ($row[$name] | value($type;
					$event.metadata.json_text // [] | index($name)))
			else . end)
	end;

def envelope($schema):
	. as $event
	| (.metadata.unchanged // [] | map({(.):
		"__debezium_unavailable_value"}) | add) as $unchanged
	| {
		before: .before_data | row($event; $schema),
		after: (.after_data | row($event; $schema)
			| if . == null then . else . + $unchanged end),
		source: {
			version: "philotes",
			connector: "postgresql",
			name: .source_id,
			ts_ms: .event_time | ms,
			snapshot: (if .operation == "READ" then "incremental"
				else "false" end),
			schema: .schema_name,
			table: .table_name,
			txId: .transaction_id,
			lsn: .lsn | lsn
		},
		transaction: null,
		op: op[.operation],
		ts_ms: (.created_at // .event_time) | ms
	};

foreach inputs as $line ({};
	if $line.control == "schema" then
		.[$line.schema_name][$line.table_name] = $line
	else . end;
	if $line.control or (op[$line.operation] | not) then empty
	else
		.[$line.schema_name][$line.table_name] as $schema
		| if $schema then $line | envelope($schema)
		else
			"debezium.jq: error: no schema line precedes an event of "
			+ @json "\($line.schema_name).\($line.table_name): use --schema\n"
			| halt_error(69)
		end
	end)
