"""endpoint.py DIR: an HTTP server on 127.0.0.1 for tests of the handler http.

It writes its port to DIR/port.  Each POST is answered by the next line of
DIR/answers:

    STATUS [RETRY-AFTER]   an answer; a batch is taken only with 2xx
    lose                   the batch is taken, and the connection closed
    close                  the connection is closed
    slow                   no answer until the client gives up

and by 200 when there are no lines left; but by 400 if the body has the text in
DIR/refuse.  A batch that is taken is appended to DIR/taken, unless one with its
Idempotency-Key was taken before.  DIR/requests has a line for each request: its
time, what was answered, and the key; DIR/headers has the last one's headers.
"""

import http.server
import os
import sys
import time

dir = sys.argv[1]
keys = set()


def path(name):
    return os.path.join(dir, name)


def text_of(name):
    try:
        with open(path(name)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def next_answer():
    first, _, rest = text_of("answers").partition("\n")
    with open(path("answers"), "w") as file:
        file.write(rest)
    return first or "200"


class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        answer = next_answer()
        refuse = text_of("refuse").strip()
        if refuse and refuse.encode() in body:
            answer = "400"
        with open(path("headers"), "w") as file:
            file.write(str(self.headers))
        if answer.startswith("2") or answer == "lose":
            self.take(key, body)
        self.answer(*answer.split(" ", 1))
        with open(path("requests"), "a") as file:
            file.write(f"{time.time():.3f} {answer.split()[0]} {key}\n")

    def take(self, key, body):
        if key not in keys:
            with open(path("taken"), "ab") as file:
                file.write(body)
        keys.add(key)

    def answer(self, status, retry_after=None):
        if status in ("lose", "close"):
            self.close_connection = True
        elif status == "slow":
            self.rfile.read(1)
        else:
            self.send_response(int(status))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(b"said\x1b[0m by the endpoint\n")

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Endpoint)
with open(path("port"), "w") as file:
    file.write(f"{server.server_port}\n")
server.serve_forever()
