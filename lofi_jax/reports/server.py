"""A folder served to browsers of this machine, with the byte ranges that seeking asks for."""

import contextlib
import functools
import http.server
import io
import os
import pathlib
import re
from http import HTTPStatus
from typing import Any, BinaryIO

from lofi_jax.errors import UserError

_CHUNK = 1 << 18


def server(folder: pathlib.Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of a folder at 127.0.0.1, which is this machine alone.

    Args:
        port: 0 takes a free one.

    Raises:
        UserError: the port is taken.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise UserError(f"--port={port}: cannot be used ({error}); name another") from error


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Python's own, and one range of bytes of a file (RFC 9110, section 14)."""

    protocol_version = "HTTP/1.1"
    _left = -1  # bytes of the range that are still to be sent; -1: all

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        # A browser that seeks drops what it asked for before.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        self._left = -1
        path = self.translate_path(self.path)
        if "\0" in path:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        if "Range" not in self.headers or not os.path.isfile(path):
            return super().send_head()
        size = os.path.getsize(path)
        wanted = byte_range(self.headers["Range"], size)
        if wanted is None:
            return super().send_head()
        if not wanted:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        file = open(path, "rb")
        file.seek(wanted.start)
        self._left = len(wanted)
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Range", f"bytes {wanted.start}-{wanted.stop - 1}/{size}")
        self.send_header("Content-Length", str(len(wanted)))
        self.end_headers()
        return file

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        if self._left < 0:
            super().copyfile(source, outputfile)
            return
        while self._left and (chunk := source.read(min(_CHUNK, self._left))):
            outputfile.write(chunk)
            self._left -= len(chunk)


def byte_range(header: str, size: int) -> range | None:
    """The bytes of a file that a Range header asks for, none where it asks past the end.

    >>> byte_range("bytes=2-", 10), byte_range("bytes=-3", 10), byte_range("bytes=0-1, 4-5", 10)
    (range(2, 10), range(7, 10), None)

    Returns:
        None where the whole file is to be sent: several ranges, another unit, no range, or numbers
        that no file reaches.
    """
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip())
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
