"""A small RTSP server of one H.264 stream, as a camera on the network is: RFC 2326 with RTP
(RFC 6184) over the same TCP connection.
"""

import contextlib
import re
import socketserver
import struct
import threading
from collections.abc import Iterator

import av

_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
c=IN IP4 127.0.0.1
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
a=control:track
"""
_BEGIN = 12_345  # any but 0, which FFmpeg takes for none
_MOST = 1200  # bytes of a packet


def _packets(path) -> Iterator[bytes]:
    """The RTP packets of a transport stream's H.264 video."""
    number = 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.pts is None:
                continue
            time = _BEGIN + int(packet.pts * packet.time_base * 90_000)
            units = [unit for unit in re.split(b"\0\0\0?\1", bytes(packet)) if unit]
            for unit in units:
                parts = list(_parts(unit))
                for i, part in enumerate(parts):
                    last = unit is units[-1] and i == len(parts) - 1
                    head = (0x80, 96 | last << 7, number & 0xFFFF, time & 0xFFFFFFFF, 1)
                    yield struct.pack(">BBHII", *head) + part
                    number += 1


def _parts(unit: bytes) -> Iterator[bytes]:
    """A unit by itself, or in fragments (FU-A)."""
    if len(unit) <= _MOST:
        yield unit
        return
    kind, rest = unit[0], unit[1:]
    for begin in range(0, len(rest), _MOST):
        first, last = begin == 0, begin + _MOST >= len(rest)
        mark = first << 7 | last << 6 | kind & 0x1F
        yield bytes([kind & 0xE0 | 28, mark]) + rest[begin : begin + _MOST]


class _Camera(socketserver.StreamRequestHandler):
    def handle(self):
        while request := self._request():
            method, sequence = request
            answer = {
                "OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN",
                "DESCRIBE": f"Content-Type: application/sdp\nContent-Length: {len(_SDP)}",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\nSession: 1",
            }.get(method, "Session: 1")
            body = _SDP if method == "DESCRIBE" else ""
            head = f"RTSP/1.0 200 OK\nCSeq: {sequence}\n{answer}\n\n".replace("\n", "\r\n")
            self.wfile.write((head + body).encode())
            if method == "PLAY":
                for packet in _packets(self.server.path):
                    self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            if method in ("PLAY", "TEARDOWN"):
                return

    def _request(self) -> tuple[str, str] | None:
        """The next request's method and number."""
        lines = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        if not lines:
            return None
        (sequence,) = (line.partition(":")[2].strip() for line in lines if "cseq" in line.lower())
        return lines[0].split()[0], sequence


@contextlib.contextmanager
def camera(path) -> Iterator[str]:
    """The address of a server that sends a file's video to each that asks, and closes."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Camera) as server:
        server.daemon_threads, server.path = True, path
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/hall"
        server.shutdown()
