"""compare.py duckdb FILE | iceberg CATALOG: compares a mirror with the source's
rows on standard input, lines of SCHEMA.TABLE, a tab and a JSON object.  Prints
what differs; exit status 1 if anything does."""

import json
import sys
from collections import Counter
from decimal import Decimal

import pyarrow as pa

from philotes_arrow import fitted


def from_duckdb(path, name):
    import duckdb
    db = duckdb.connect(path, read_only=True)
    return db.sql(f"SELECT * FROM {name}").to_arrow_table()


def from_iceberg(catalog, name):
    from pyiceberg.catalog import load_catalog
    name = tuple(part.strip('"') for part in name.split("."))
    return load_catalog(catalog).load_table(name).scan().to_arrow()


def canonical(row):
    """White space of JSON does not count."""
    return tuple(
        (k, repr(v.replace(" ", "") if isinstance(v, str) else v))
        for k, v in sorted(row.items()) if not k.startswith("philotes_"))


def main():
    fetch = {"duckdb": from_duckdb, "iceberg": from_iceberg}[sys.argv[1]]
    tables = {}
    for line in sys.stdin:
        name, text = line.split("\t", 1)
        tables.setdefault(name, []).append(
            json.loads(
            text, parse_float=Decimal,
            parse_int=lambda digits: digits if digits == "-0" else int(digits)))
    failed = not tables
    for name, rows in tables.items():
        there = fetch(sys.argv[2], name)
        schema = pa.schema([
            (f.name, pa.string() if pa.types.is_large_string(f.type) else
             pa.binary() if pa.types.is_large_binary(f.type) else f.type)
            for f in there.schema])
        rows = pa.Table.from_pylist([fitted(r, schema) for r in rows], schema)
        want = Counter(map(canonical, rows.to_pylist()))
        have = Counter(map(canonical, there.cast(schema).to_pylist()))
        print(f"{name}: {len(rows)} rows, missing {(want - have).total()}, "
              f"surplus {(have - want).total()}")
        for kind, found in (("missing", want - have), ("surplus", have - want)):
            for row in list(found)[:2]:
                print(f"  {kind} {dict(row)}"[:2000])
        failed |= want != have
    sys.exit(failed)


main()
