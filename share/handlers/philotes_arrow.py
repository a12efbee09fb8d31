"""Rows of philotes-stream(5) in Arrow, for the handlers of columnar formats.

Columns have the types of KINDS, numeric(P,S) that of decimal128 if that can
hold it, and all others are text as PostgreSQL writes it, or JSON.  A value
that its column cannot hold, such as an infinite date, is null there; the
column philotes_unfit has it, in a JSON object of all such values of the row.
"""

import re
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa

from philotes_stream import dumps, fail, key_values, keys_of_event, say

KINDS = {
    "smallint": pa.int32(), "integer": pa.int32(), "bigint": pa.int64(),
    "oid": pa.int64(), "real": pa.float32(), "double precision": pa.float64(),
    "boolean": pa.bool_(), "bytea": pa.binary(), "date": pa.date32()}

TIME = pa.timestamp("us", "UTC")

# Beside the columns of a row: the id of the event that wrote it.
OF_ROW = [pa.field("philotes_id", pa.int64()),
          pa.field("philotes_unfit", pa.string())]

# Beside the columns of a change.
OF_CHANGE = OF_ROW + [
    pa.field("philotes_operation", pa.string()),
    pa.field("philotes_mark", pa.string()),
    pa.field("philotes_commit_lsn", pa.string()),
    pa.field("philotes_seq", pa.int64()),
    pa.field("philotes_time", TIME),
    pa.field("philotes_before", pa.string()),
    pa.field("philotes_unchanged", pa.string())]


def arrow_type(column):
    name = column["type"]
    exact = re.fullmatch(r"numeric\((\d+),(-?\d+)\)", name)
    if exact and int(exact[1]) <= 38 and 0 <= int(exact[2]) <= int(exact[1]):
        return pa.decimal128(int(exact[1]), int(exact[2]))
    if name.startswith("timestamp") and not name.endswith("]"):
        return TIME if name.endswith("with time zone") else pa.timestamp("us")
    return KINDS.get(name, pa.string())


def arrow_schema(schema, beside):
    return pa.schema([pa.field(c["name"], arrow_type(c))
                      for c in schema["columns"]] + beside)


def fit(value, kind):
    """The value as the column holds it; an error if it cannot."""
    if value is None:
        return None
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else dumps(value)
    if pa.types.is_decimal(kind):
        value = Decimal(value)
        if not value.is_finite():
            raise ValueError(value)
        return value
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_boolean(kind) or not isinstance(value, str):
        return value
    if pa.types.is_binary(kind):
        return bytes.fromhex(value[2:])
    if pa.types.is_date(kind):
        return date.fromisoformat(value)
    return datetime.fromisoformat(value)


def fitted(row, schema):
    """The row for Arrow, with philotes_unfit."""
    found, unfit = {}, {}
    for field in schema:
        value = row.get(field.name)
        try:
            found[field.name] = fit(value, field.type)
        except (ValueError, ArithmeticError):
            found[field.name] = None
            unfit[field.name] = value
    if unfit:
        found["philotes_unfit"] = dumps(unfit)
    return found


def table_of(rows, schema):
    return pa.Table.from_pylist([fitted(r, schema) for r in rows], schema)


def json_as_text(run):
    """The events of the run; the values of their json and jsonb columns are JSON
    now, also those that were sent as strings."""
    names = [c["name"] for c in run.schema["columns"]
             if c["type"] in ("json", "jsonb")]
    for e in run.events:
        for row in (e.before, e.after) if e.operation != "SNAPSHOT" else ():
            for name in names:
                if row and row.get(name) is not None \
                        and name not in e.json_text:
                    row[name] = dumps(row[name])
    return run.events


def change_rows(events):
    """Each event as a row: the values after it, or else before it."""
    for e in events:
        mark = e.operation == "SNAPSHOT"
        row = {} if mark else e.after or e.before or {}
        yield {
            **row,
            "philotes_id": e.id,
            "philotes_operation": e.operation,
            "philotes_mark": e.after["state"] if mark else None,
            "philotes_commit_lsn": e.commit_lsn,
            "philotes_seq": e.seq,
            "philotes_time": e.time,
            "philotes_before": dumps(e.before) if e.before else None,
            "philotes_unchanged":
                dumps(list(e.unchanged)) if e.unchanged else None}


class Net:
    """The net effect of a run on a table with a key:

        truncated   all rows go
        below       rows with a lower philotes_id go; or None
        rows        {key: row}; each takes the place of the row with its key,
                    None just removes that
        begun       the id of the begin of the table's last snapshot; or None

    fetch(keys) returns {key: row} of the rows of the target that have these
    keys, for events that do not bring all values.
    """

    def __init__(self, events, key, begun, fetch):
        self.truncated = False
        self.below = None
        self.rows = {}
        self.begun = begun
        self._key = key
        wanted = {self._old_key(e) for e in events if e.unchanged}
        self._there = fetch(wanted) if wanted else {}
        for event in events:
            self._add(event)

    def _old_key(self, event):
        old, new = keys_of_event(event, self._key)
        return new if old is None else old

    def _add(self, event):
        if event.operation == "TRUNCATE":
            self.truncated, self.below = True, None
            self.rows, self._there = {}, {}
        elif event.operation == "SNAPSHOT":
            self._add_mark(event)
        else:
            self._add_row(event)

    def _add_mark(self, event):
        state = event.after["state"]
        if state == "begin":
            self.begun = event.id
        elif state == "failed":
            say("warning", f"a snapshot failed: {event.after['reason']}")
        elif state == "end" and self.begun is not None:
            self.below = self.begun
            for rows in (self.rows, self._there):
                for key, row in rows.items():
                    if row and row["philotes_id"] < self.below:
                        rows[key] = None

    def _add_row(self, event):
        old, new = keys_of_event(event, self._key)
        row = event.after and {**event.after, "philotes_id": event.id}
        if event.unchanged:
            was = self._now(new if old is None else old)
            if was is None:
                # a snapshot is still to bring it
                return
            row = {**row, **{c: was.get(c) for c in event.unchanged}}
        if old is not None:
            self.rows[old] = None
        if new is not None:
            self.rows[new] = row

    def _now(self, key):
        return self.rows[key] if key in self.rows else self._there.get(key)


def by_key(table, keys, key, schema):
    """{key: row} of a table's rows that have one of these keys, which are those of
    events, while the values of rows are those of Arrow."""
    names = {key_values(row, key): name for row, name in
             zip(key_table(keys, key, schema).to_pylist(), keys)}
    return {names[key_values(row, key)]: row for row in table.to_pylist()}


def key_table(keys, key, schema):
    """A table of keys; they must fit, as rows are found by them."""
    schema = pa.schema([schema.field(c) for c in key])
    try:
        return pa.Table.from_pylist(
            [{c: fit(v, schema.field(c).type) for c, v in zip(key, values)}
             for values in keys], schema)
    except (ValueError, ArithmeticError) as error:
        fail(65, f"could not use a key: {error}")
