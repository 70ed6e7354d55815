"""A web server of this machine for tests: serves files whole, in parts and badly, and streams that break off."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler], None]
"""Answers one GET; what it writes after the client has left is lost without a word."""


def whole(path: Path, *, ranges: bool = True) -> Answer:
    """A file, as web servers send it; without ``ranges`` always from its beginning."""
    return _file(path, [1.0], ranges)


def breaking(path: Path, parts: list[float], *, ranges: bool = True) -> Answer:
    """A file of which the first answers hold only these parts (0..1) of what they promise; later ones are whole."""
    return _file(path, [*parts, 1.0], ranges)


def stream(*pieces: bytes, then: threading.Event | None = None) -> Answer:
    """An endless stream: one piece a connection, the last one for all later ones, then a wait for ``then``."""
    left = list(pieces)

    def answer(request: BaseHTTPRequestHandler) -> None:
        piece = left.pop(0) if len(left) > 1 else left[0]
        last = len(left) == 1 and piece is left[0]
        request.send_response(200)
        request.send_header("Content-Type", "video/mp2t")
        request.end_headers()
        request.wfile.write(piece)
        request.wfile.flush()
        if then is not None and last:
            then.wait(30)

    return answer


@contextmanager
def web_server(**answers: Answer) -> Iterator[str]:
    """Serves each answer at /NAME (with ``__`` for the dot); yields "http://127.0.0.1:PORT"."""
    table = {"/" + name.replace("__", "."): answer for name, answer in answers.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                if self.path in table:
                    table[self.path](self)
                else:
                    self.send_error(404)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # clients of these tests leave as they like

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _file(path: Path, parts: list[float], ranges: bool) -> Answer:
    data = path.read_bytes()
    left = list(parts)

    def answer(request: BaseHTTPRequestHandler) -> None:
        part = left.pop(0) if len(left) > 1 else left[0]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")) if ranges else None
        begin = int(asked[1]) if asked else 0
        end = min(int(asked[2]) + 1, len(data)) if asked and asked[2] else len(data)
        request.send_response(206 if asked else 200)
        request.send_header("Content-Length", str(end - begin))
        if ranges:
            request.send_header("Accept-Ranges", "bytes")
        if asked:
            request.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        request.end_headers()
        request.wfile.write(data[begin : begin + round((end - begin) * part)])
        request.close_connection = True

    return answer
