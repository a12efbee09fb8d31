"""singer_target.py DIR: a target that keeps the rows of each stream by their key,
in DIR/STREAM.json, as they are at the last STATE that it has printed.

It is killed at the message of the number that DIR/die has, once.
"""

import json
import os
import signal
import sys

dir = sys.argv[1]
die = os.path.join(dir, "die")
streams = {}


def path(stream):
    return os.path.join(dir, stream + ".json")


def load(stream):
    if os.path.exists(path(stream)):
        with open(path(stream)) as file:
            return json.load(file, parse_float=str)
    return {}


def save():
    for stream, rows in streams.items():
        with open(path(stream) + ".new", "w") as file:
            json.dump(rows, file)
        os.replace(path(stream) + ".new", path(stream))


def dies_at():
    if not os.path.exists(die):
        return None
    with open(die) as file:
        number = int(file.read())
    os.remove(die)
    return number


last, keys, properties = dies_at(), {}, {}
for number, line in enumerate(sys.stdin, 1):
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)
    message = json.loads(line, parse_float=str)
    stream = message.get("stream")
    if message["type"] == "SCHEMA":
        keys[stream] = message["key_properties"]
        properties[stream] = message["schema"]["properties"]
        streams.setdefault(stream, load(stream))
    elif message["type"] == "RECORD":
        row = message["record"]
        assert set(row) <= set(properties[stream]), row
        key = json.dumps([row[name] for name in keys[stream]])
        streams[stream].setdefault(key, {}).update(row)
    elif message["type"] == "STATE":
        save()
        print(json.dumps(message["value"]), flush=True)
