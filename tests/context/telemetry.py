"""Files with telemetry, made on the spot: GPMF payloads as the format's description has them, and captions."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

PARIS = (48.8577, 2.295)
STREAM_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name\nStyle: Default\n[Events]\nFormat: Text\n"
)


def item(key: bytes, type: bytes, size: int, data: bytes) -> bytes:
    return key + type + struct.pack(">BH", size, len(data) // size) + data + bytes(-len(data) % 4)


def nested(key: bytes, data: bytes) -> bytes:
    return item(key, b"\0", 4 if len(data) > 1000 else 1, data)


def gps5(speed: float = 0.0, at: tuple[float, float] = PARIS, *, fix: int = 3, count: int = 18) -> bytes:
    sample = struct.pack(">5i", *(round(each * 1e7) for each in at), 35_000, round(speed * 1000), round(speed * 100))
    return stream(
        item(b"GPSF", b"L", 4, struct.pack(">I", fix)),
        item(b"SCAL", b"l", 4, struct.pack(">5i", 10**7, 10**7, 1000, 1000, 100)),
        item(b"GPS5", b"l", 20, sample * count),
    )


def gps9(speed: float = 0.0, at: tuple[float, float] = PARIS, *, fix: int = 3, count: int = 10) -> bytes:
    place = (round(each * 1e7) for each in at)
    sample = struct.pack(">7i2H", *place, 35_000, round(speed * 1000), round(speed * 100), 9000, 3_600_000, 120, fix)
    return stream(
        item(b"TYPE", b"c", 1, b"lllllllSS"),
        item(b"SCAL", b"l", 4, struct.pack(">9i", 10**7, 10**7, 1000, 1000, 100, 1, 1000, 100, 1)),
        item(b"GPS9", b"?", 32, sample * count),
    )


def stream(*items: bytes) -> bytes:
    return nested(b"STRM", item(b"STNM", b"c", 1, b"GPS (Lat., Long.)") + b"".join(items))


def payload(*streams: bytes) -> bytes:
    motion = stream(item(b"ACCL", b"s", 6, bytes(600)))
    return nested(b"DEVC", item(b"DVNM", b"c", 1, b"Camera") + motion + b"".join(streams))


def write(path: Path, payloads: Sequence[bytes] = (), cues: Sequence[str] = ()) -> Path:
    """A clip of one picture a second, with GPMF payloads and captions, each a second long."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=1)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        data = container.add_data_stream("bin_data") if payloads else None
        text = container.add_stream("mov_text" if path.suffix == ".mp4" else "subrip") if cues else None
        if text is not None:
            text.codec_context.subtitle_header = STREAM_HEADER
        container.start_encoding()
        for second in range(max(len(payloads), len(cues), 1)):
            picture = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            if second < len(payloads):
                container.mux(packet(payloads[second], data, second))
            if second < len(cues):
                said = cues[second].encode()
                length = len(said).to_bytes(2, "big") if path.suffix == ".mp4" else b""
                container.mux(packet(length + said, text, second))
        container.mux(video.encode())
    return path


def packet(data: bytes, stream: object, second: int) -> av.Packet:
    made = av.Packet(data)
    made.stream, made.time_base = stream, Fraction(1, 1000)
    made.pts = made.dts = second * 1000
    made.duration = 1000
    return made
