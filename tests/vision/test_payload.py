"""Still pictures as bytes: whole ones are read, everything else is one clear error before any pixel is decoded."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import SourceError
from guard.vision import Detector, decode_picture, encode_like, is_unambiguous
from guard.vision.headers import kind_of, read_header
from guard.vision.picture import Picture
from tests.files import jpeg_with, photograph

KINDS = {"JPEG": ".jpg", "PNG": ".png", "WebP": ".webp"}


def _file(picture: Picture, kind: str, *settings: int) -> bytes:
    done, data = cv2.imencode(KINDS[kind], picture, settings)
    assert done
    return bytes(data)


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_file_is_read_as_bgr(kind: str, astronaut: Picture, detector: Detector) -> None:
    data = _file(astronaut, kind)
    header = read_header(data)
    assert (header.kind, header.width, header.height) == (kind, 512, 512)
    picture = decode_picture(data)
    assert picture.shape == astronaut.shape
    assert np.abs(picture.astype(int) - astronaut).mean() < 3
    assert len(detector.detect(picture)) == 1


def test_width_and_height_are_not_mixed_up(kind: str) -> None:
    data = _file(np.zeros((30, 50, 3), np.uint8), kind)
    header = read_header(data)
    assert (header.width, header.height) == (50, 30)
    assert decode_picture(data).shape == (30, 50, 3)


def test_a_lossy_webp_is_read(astronaut: Picture) -> None:
    data = _file(np.ascontiguousarray(astronaut[:100]), "WebP", cv2.IMWRITE_WEBP_QUALITY, 80)
    assert read_header(data).width == 512
    assert decode_picture(data).shape == (100, 512, 3)


def test_a_progressive_jpeg_with_restarts_is_read(astronaut: Picture) -> None:
    data = _file(astronaut, "JPEG", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 8)
    assert decode_picture(data).shape == astronaut.shape


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_files_become_bgr(kind: str, channels: int) -> None:
    shape = (40, 40) if channels == 1 else (40, 40, 4)
    assert decode_picture(_file(np.full(shape, 100, np.uint8), kind)).shape == (40, 40, 3)


def test_sixteen_bits_become_eight() -> None:
    data = cv2.imencode(".png", np.full((9, 9, 3), 0x8000, np.uint16))[1].tobytes()
    picture = decode_picture(data)
    assert picture.dtype == np.uint8
    assert (picture == 128).all()


def test_the_picture_stands_as_its_exif_says() -> None:
    upright = np.zeros((30, 50, 3), np.uint8)
    upright[:, 40:] = 255
    data = _file(cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE), "JPEG")
    turned = decode_picture(_with_orientation(data, 6))
    assert turned.shape == upright.shape
    assert turned[15, 45].min() > 240
    assert turned[15, 5].max() < 15
    assert read_header(_with_orientation(data, 6)).width == 30


def test_a_picture_goes_back_into_its_own_format(kind: str, astronaut: Picture) -> None:
    data = _file(astronaut, kind)
    again = encode_like(data, decode_picture(data))
    assert kind_of(again) == kind
    assert np.abs(decode_picture(again).astype(int) - astronaut).mean() < 4


@pytest.mark.parametrize("orientation", range(9))
def test_a_file_that_some_readers_turn_is_told_from_one_that_all_see_alike(orientation: int) -> None:
    data = _with_orientation(_file(np.zeros((30, 50, 3), np.uint8), "JPEG"), orientation)
    assert is_unambiguous(data) == (orientation == 1)
    assert is_unambiguous(encode_like(data, decode_picture(data)))


def test_exif_that_makes_no_sense_is_ambiguous() -> None:
    data = _with_orientation(_file(np.zeros((30, 50, 3), np.uint8), "JPEG"), 1)
    at = data.index(b"II*")
    assert not is_unambiguous(data[: at + 4] + b"\xff\xff" + data[at + 6 :])


def test_exif_of_png_and_webp_is_read_too(kind: str) -> None:
    plain = _file(np.zeros((30, 50, 3), np.uint8), kind)
    assert is_unambiguous(plain)
    tiff = _tiff(6)
    if kind == "PNG":
        assert not is_unambiguous(_png(3, 3, b"eXIf" + tiff))
        assert is_unambiguous(_png(3, 3, b"eXIf" + _tiff(1)))
    if kind == "WebP":
        body = plain[12:] + b"EXIF" + struct.pack("<I", len(tiff)) + tiff
        assert not is_unambiguous(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body)


@pytest.mark.parametrize("kind", ["PNG", "WebP"])
@pytest.mark.parametrize("settings", [(), (cv2.IMWRITE_WEBP_QUALITY, 80)])
def test_a_transparent_file_is_ambiguous(kind: str, settings: tuple[int, ...]) -> None:
    clear = np.zeros((30, 50, 4), np.uint8)
    clear[:, :25, 3] = 255
    data = _file(clear, kind, *settings) if kind == "WebP" else _file(clear, kind)
    assert not is_unambiguous(data)
    assert is_unambiguous(encode_like(data, decode_picture(data)))
    assert not is_unambiguous(_png(3, 3, b"tRNS" + bytes(6)))


def test_a_file_with_another_picture_in_it_is_ambiguous(kind: str, astronaut: Picture) -> None:
    data = photograph(KINDS[kind], astronaut, thumbnail=True)
    assert not is_unambiguous(data)
    again = encode_like(data, decode_picture(data))
    assert is_unambiguous(again)
    assert b"SECRET" in data
    assert b"SECRET" not in again


def test_data_after_the_end_make_a_file_ambiguous(kind: str, astronaut: Picture) -> None:
    data = photograph(KINDS[kind], astronaut)
    assert is_unambiguous(data)
    assert not is_unambiguous(data + data)


def test_a_place_alone_is_no_other_picture(astronaut: Picture) -> None:
    assert is_unambiguous(jpeg_with(astronaut, orientation=1, place=True))


def test_metadata_do_not_go_back(astronaut: Picture) -> None:
    data = _with_orientation(_file(astronaut, "JPEG"), 6)
    assert b"Exif" in data
    assert b"Exif" not in encode_like(data, decode_picture(data))


def test_a_solid_region_stays_solid_in_every_format(kind: str, astronaut: Picture) -> None:
    hidden = astronaut.copy()
    hidden[63:176, 178:268] = 0
    again = decode_picture(encode_like(_file(astronaut, kind), hidden))
    assert again[72:167, 187:259].max() < 12


# What cannot be read.


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"GIF89a" + bytes(40), b"BM" + bytes(60), bytes(100)])
def test_other_formats_are_refused(data: bytes) -> None:
    for work in (decode_picture, lambda data: encode_like(data, np.zeros((2, 2, 3), np.uint8))):
        with pytest.raises(SourceError, match=r"JPEG, PNG or WebP|no bytes"):
            work(data)


def test_a_truncated_file_is_refused_wherever_it_ends(kind: str, astronaut: Picture) -> None:
    data = _file(np.ascontiguousarray(astronaut[:64, :64]), kind)
    for end in [*range(3, 40), *range(40, len(data), 97), len(data) - 2, len(data) - 1]:
        with pytest.raises(SourceError):
            decode_picture(data[:end])


@pytest.mark.parametrize("kind", ["PNG"])
def test_a_damaged_file_is_refused(kind: str, astronaut: Picture) -> None:
    data = bytearray(_file(astronaut, kind))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(SourceError, match="checksum"):
        decode_picture(bytes(data))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_bytes_changed_at_random_give_a_picture_or_one_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS)))
    picture = np.random.default_rng(6).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    file = bytearray(_file(picture, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_picture(bytes(file))
    except SourceError:
        return
    else:
        assert found.dtype == np.uint8
        assert found.ndim == 3


def _png(width: int, height: int, *extra: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(30)))
    return (
        b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*_named(each)) for each in extra) + pixels + chunk(b"IEND", b"")
    )


def _named(extra: bytes) -> tuple[bytes, bytes]:
    return extra[:4], extra[4:]


@pytest.mark.parametrize("size", [(10_001, 10_000), (2**31 - 1, 2**31 - 1), (100_000_001, 1)])
def test_a_picture_of_more_than_100_megapixels_is_not_decoded(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(SourceError, match="more than 100 megapixels"):
        decode_picture(_png(*size))


def test_a_header_that_lies_about_the_size_is_refused(astronaut: Picture) -> None:
    small, large = (_file(np.ascontiguousarray(astronaut[:side, :side]), "WebP") for side in (32, 64))
    # An extended header that claims 32 x 32 before data of 64 x 64.
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + bytes([31, 0, 0, 31, 0, 0]) + large[12:]
    with pytest.raises(SourceError):
        decode_picture(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body)
    assert decode_picture(small).shape == (32, 32, 3)


def test_animated_pictures_are_refused() -> None:
    with pytest.raises(SourceError, match="PNG is animated"):
        decode_picture(_png(3, 3, b"acTL" + struct.pack(">II", 2, 0)))
    body = b"VP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0, 9, 0, 0, 9, 0, 0])
    with pytest.raises(SourceError, match="WebP is animated"):
        decode_picture(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body)


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_a_picture_without_extent_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match="no size"):
        decode_picture(_png(*size))


def test_a_jpeg_without_pixels_is_refused() -> None:
    with pytest.raises(SourceError, match="holds no picture"):
        decode_picture(b"\xff\xd8\xff\xd9")
    with pytest.raises(SourceError, match="segments are damaged"):
        decode_picture(b"\xff\xd8\xff\xe0\x00\x02junk")


def test_what_cannot_be_encoded_is_refused(astronaut: Picture) -> None:
    webp = _file(astronaut, "WebP")
    with pytest.raises(SourceError, match="cannot be written as WebP"):
        encode_like(webp, np.zeros((4, 17_000, 3), np.uint8))
    with pytest.raises(SourceError):
        encode_like(webp, np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]


def _with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """`jpeg` with an EXIF block that holds nothing but the orientation (tag 0x0112, one short)."""
    body = b"Exif\x00\x00" + _tiff(orientation)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _tiff(orientation: int) -> bytes:
    return b"II*\x00" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, orientation) + bytes(4)
