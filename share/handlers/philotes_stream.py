"""The protocol of philotes-stream(5), for handlers in Python.

A handler is run by buffer-batch(1), once for all batches or once for each:

    buffer-batch --serve -- HANDLER ...
    buffer-batch --schema -- HANDLER ...

It is a function that applies a batch, and this file does the rest:

    philotes_stream.serve(apply)

What apply(batch) must promise:

- When it returns, the batch is durable in the target.  It is acknowledged
  then, and may never come again.
- A batch may come again, in full or cut elsewhere.  So the target keeps its
  position, the id of the newest event that it has of batch.source, and commits
  it together with the data.  batch.after(position) is what is new.
- A schema line is applied with an event that is new, never for its own sake: a
  batch that comes again brings older lines again.  batch.after() has only runs
  with new events.
- Runs are applied in their order, and the events of a run in theirs.
- What may pass, such as a server that cannot be reached, is fail(75, ...); any
  other status counts towards --retries.

Numbers keep all their digits: those with a fraction or an exponent are Decimal.
"""

import json
import os
import sys
from decimal import Decimal

# numeric has up to 131072 digits
sys.set_int_max_str_digits(0)

_decode = json.JSONDecoder(parse_float=Decimal).decode


def say(kind, text):
    tool = os.path.basename(sys.argv[0])
    print(f"{tool}: {kind}: {text}", file=sys.stderr, flush=True)


def fail(code, text):
    say("error", text)
    sys.exit(code)


def dumps(value):
    """JSON of a value, with all digits."""
    if isinstance(value, dict):
        return "{" + ",".join(
            f"{dumps(k)}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


class Event:
    """before and after are rows as dicts, or None; line is the line itself."""
    __slots__ = ("id", "operation", "before", "after", "commit_lsn", "seq",
                 "unchanged", "json_text", "time", "line")

    def __init__(self, fields, line):
        metadata = fields["metadata"]
        self.id = fields["id"]
        self.operation = fields["operation"]
        self.before = fields["before_data"]
        self.after = fields["after_data"]
        self.commit_lsn = metadata.get("commit_lsn")
        self.seq = metadata.get("seq")
        self.unchanged = metadata.get("unchanged", ())
        self.json_text = metadata.get("json_text", ())
        self.time = fields["event_time"]
        self.line = line


class Run:
    """Events of one table in their order, under one schema line."""
    __slots__ = ("schema", "events")

    def __init__(self, schema, events):
        self.schema = schema
        self.events = events


class Batch:
    """source, count and last_id of all events; runs of those of tables."""

    def __init__(self):
        self.source = None
        self.count = 0
        self.last_id = 0
        self.runs = []
        self._of_table = {}

    def add_schema(self, schema):
        run = Run(schema, [])
        self.runs.append(run)
        self._of_table[schema["schema_name"], schema["table_name"]] = run

    def add_event(self, fields, line):
        name = fields["schema_name"], fields["table_name"]
        if "id" not in fields:
            fail(78, "could not use the events: they have no id, "
                 "so they are not from buffer-batch")
        self.source = fields["source_id"]
        self.count += 1
        self.last_id = fields["id"]
        run = self._of_table.get(name)
        if run is not None:
            run.events.append(Event(fields, line))
        elif fields["operation"] not in ("MESSAGE", "SNAPSHOT"):
            fail(69, f'could not use event {fields["id"]} of "{".".join(name)}"'
                 ": no schema line precedes it; give buffer-batch --schema, "
                 "and ask for a snapshot of tables that were stored before "
                 "the buffer had schema lines")

    def after(self, position):
        """The runs with events that are new to the target."""
        for run in self.runs:
            events = [e for e in run.events if e.id > position]
            if events:
                yield Run(run.schema, events)


def batches(lines):
    """Yields each batch and its ack, which is None for a command's batch."""
    batch = Batch()
    for line in lines:
        if not line.endswith(b"\n"):
            fail(75, "the input ends inside a line")
        try:
            fields = _decode(line.decode())
        except ValueError as error:
            fail(65, f"could not read a line: {error}")
        control = fields.get("control")
        if control is None:
            batch.add_event(fields, line)
        elif control == "schema":
            batch.add_schema(fields)
        elif control == "checkpoint":
            yield batch, fields["ack"]
            batch = Batch()
    if batch.count:
        # end of file is no proof that a batch is complete
        expected = os.environ.get("PHILOTES_BATCH_EVENTS")
        if expected is None or batch.count < int(expected):
            fail(75, f"the input ends after {batch.count} of "
                 f"{expected or 'an unknown number of'} events")
        yield batch, None


def serve(apply):
    for batch, ack in batches(sys.stdin.buffer):
        if batch.count:
            apply(batch)
        if ack is not None:
            print(ack, flush=True)


# Rows

def key_of(schema, was=None):
    """The columns by which events name a row, [] if there are none; was is an
    earlier schema of the table, which may know what this one does not."""
    if schema["replica_identity"] in ("default", "index"):
        return schema["key_columns"]
    if schema["primary_key"] is not None:
        return schema["primary_key"]
    if was is None:
        fail(69, f'could not find the key of "{schema["table_name"]}": its '
             "schema line was made without the source's catalog")
    return key_of(was)


def key_values(row, key):
    return tuple(dumps(row[c]) if isinstance(row[c], (dict, list)) else row[c]
                 for c in key)


class Round:
    """Changes of a table in which each key occurs once, so that each kind can
    be made by one statement, in this order:

        truncated   all rows go
        gone        {key: event}: rows go that are named by event.before
        part        {key: event}: rows that stay, or move from event.before,
                    and keep their values of event.unchanged; if there is no
                    such row, a snapshot is still to bring it
        put         {key: event}: event.after takes the place of the row with
                    its key
        begun       the id of a snapshot's begin, or None
        ended       true: rows go that no event has touched since begun

    A table without a key has at most one row in gone: one of those that are
    equal to event.before."""

    def __init__(self):
        self.truncated = False
        self.gone = {}
        self.part = {}
        self.put = {}
        self.begun = None
        self.ended = False

    def conflicts(self, event, old, new, key):
        """Must this round be made before the event can be added?"""
        if not key:
            return old is not None and bool(self.gone or self.put)
        if not event.unchanged:
            return old in self.part or new in self.part
        return any(k in pending for k in (old, new)
                   for pending in (self.gone, self.part, self.put))

    def add(self, event, old, new):
        if event.unchanged:
            self.part[new] = event
            return
        if old is not None and old != new:
            self.put.pop(old, None)
            self.gone[old] = event
        if new is not None:
            self.gone.pop(new, None)
            self.put[new] = event

    def add_mark(self, event):
        state = event.after["state"]
        if state == "begin":
            self.begun = event.id
        elif state == "end":
            self.ended = True
        elif state == "failed":
            say("warning", f"a snapshot failed: {event.after['reason']}")


def rounds(events, key):
    """The net effect of a run."""
    now = Round()
    for event in events:
        if event.operation == "TRUNCATE":
            # what comes before is void
            begun, now = now.begun, Round()
            now.truncated, now.begun = True, begun
        elif event.operation == "SNAPSHOT":
            now.add_mark(event)
            if now.ended:
                yield now
                now = Round()
        else:
            old, new = _names(event, key)
            if now.conflicts(event, old, new, key):
                yield now
                now = Round()
            now.add(event, old, new)
    yield now


def keys_of_event(event, key):
    """The keys of the row before the event, if that is known, and after it."""
    return (key_values(event.before, key) if event.before else None,
            key_values(event.after, key) if event.after else None)


def _names(event, key):
    if key:
        return keys_of_event(event, key)
    return (("old", event.id) if event.before else None,
            ("new", event.id) if event.after else None)


# Schemas

def with_hints(schema, was):
    """The schema; hints that the source's catalog no longer had are those of
    the table's earlier schema."""
    known = {c["name"]: c for c in was["columns"]}
    columns = []
    for column in schema["columns"]:
        old = known.get(column["name"], {})
        if "attnum" not in column and old.get("type") == column["type"]:
            column = {**old, **column}
        columns.append(column)
    return {**schema, "columns": columns}


def pair_columns(was, now):
    """(old, new) of each column, None for one that is dropped or added.  A
    column is known by its attnum, or else by its name.  Without either: since
    ADD COLUMN appends, a new name before one that was there is a rename."""
    gone = list(was)
    pairs = []
    for new in now:
        old = next((c for c in gone if _same_column(c, new)), None)
        if old is not None:
            gone.remove(old)
        pairs.append([old, new])
    last = max((i for i, (old, _) in enumerate(pairs) if old), default=-1)
    for pair in pairs[:last]:
        old = next((c for c in gone if "attnum" not in c
                    or "attnum" not in pair[1]), None)
        if pair[0] is None and old is not None:
            gone.remove(old)
            pair[0] = old
    return [(old, None) for old in gone] + [tuple(p) for p in pairs]


def _same_column(old, new):
    if "attnum" in old and "attnum" in new:
        return old["attnum"] == new["attnum"]
    return old["name"] == new["name"]


def renames(pairs):
    """(from, to), in an order in which no name is taken: by way of names that
    nobody has, if columns swap theirs."""
    moves = [(old["name"], new["name"]) for old, new in pairs
             if old and new and old["name"] != new["name"]]
    if not {old for old, _ in moves} & {new for _, new in moves}:
        return moves
    return [(old, f"philotes {i}") for i, (old, _) in enumerate(moves)] + \
        [(f"philotes {i}", new) for i, (_, new) in enumerate(moves)]
