"""A verdict that hinges on faces concerns the very pixels that the callee gets."""

from __future__ import annotations

import asyncio
import base64
import collections
import dataclasses
import threading
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

import guard
from guard.testing import FakeDetector
from tests.conftest import BOX, POLICE

DEMAND = POLICE.replace('id = "bodycam"', 'id = "bodycam"\ndetect = "on-demand"')


class Model:
    """A vision-language model that keeps what it was given."""

    def __init__(self) -> None:
        self.got: list[tuple[tuple, dict]] = []

    def describe(self, *args, **kwargs):
        self.got.append((args, kwargs))
        return "a street"


def by_brightness(image):
    """A face wherever something is bright: so that each picture is told apart."""
    return [BOX] if image.max() > 127 else []


def hidden(got, original):
    x1, y1, x2, y2 = BOX
    assert got.shape == original.shape
    assert got.dtype == original.dtype
    inside = got[y1:y2, x1:x2]
    assert not np.array_equal(inside, original[y1:y2, x1:x2])
    assert inside.reshape(-1, *inside.shape[2:]).std(axis=0).max() < 2
    assert np.array_equal(got[:5, :5], original[:5, :5])


@pytest.fixture(params=[POLICE, DEMAND], ids=["every-frame", "on-demand"])
def setup(request, make_guard):
    g = make_guard(request.param, detector=FakeDetector(by_brightness))
    model = Model()
    return g, g.source(), model, g.source().protect(model.describe, service="azure_openai")


def test_the_callee_gets_the_redacted_copy_and_the_original_stays(setup, picture):
    g, cam, model, describe = setup
    before = picture.copy()
    with cam.frame(picture) as seen:
        assert describe(picture, prompt="what happens here?") == "a street"
    (got,), kwargs = model.got[0]
    hidden(got, before)
    assert got is not picture
    assert not got.flags.writeable
    assert kwargs == {"prompt": "what happens here?"}
    assert np.array_equal(picture, before)
    assert seen.decisions[0].verdict is guard.Verdict.REDACT
    assert g.ledger.verdicts() == ["redact"]
    assert g.ledger.entries[0].decision.faces == 1


def test_a_picture_without_a_face_goes_out_as_a_read_only_snapshot(setup, picture):
    g, cam, model, describe = setup
    empty = picture // 4
    with cam.frame(empty):
        describe(empty)
    (got,), _ = model.got[0]
    assert np.array_equal(got, empty)
    assert got is not empty
    assert not np.shares_memory(got, empty)
    assert not got.flags.writeable
    assert g.ledger.entries[0].decision.faces == 0
    assert g.ledger.verdicts() == ["allow"]


def test_a_buffer_overwritten_after_it_was_judged_does_not_slip_through(setup, picture):
    """The camera writes the next picture, with a face, into the same buffer."""
    g, cam, model, describe = setup
    buffer = picture // 4
    with cam.frame(buffer) as seen:
        seen.faces  # noqa: B018 - judged now, without a face
        buffer[:] = picture
        describe(buffer)
    (got,), _ = model.got[0]
    x1, y1, x2, y2 = BOX
    assert not np.array_equal(got[y1:y2, x1:x2], picture[y1:y2, x1:x2])


def test_a_buffer_overwritten_while_the_detector_runs(make_guard, picture):
    buffer = picture // 4

    def overwrite(image):
        seen = [BOX] if image.max() > 127 else []
        buffer[:] = picture
        return seen

    for text in (POLICE, DEMAND):
        buffer[:] = picture // 4
        g = make_guard(text, detector=FakeDetector(overwrite))
        model = Model()
        describe = g.source().protect(model.describe, service="azure_openai")
        with g.source().frame(buffer):
            describe(buffer)
        (got,), _ = model.got[0]
        assert np.array_equal(got, picture // 4)


def test_another_picture_than_the_frame_is_looked_at_itself(setup, picture):
    g, cam, model, describe = setup
    empty = picture // 4
    with cam.frame(empty):
        describe(picture)
        describe(picture[5:115, 5:155])
        describe(picture.copy())
    assert g.ledger.verdicts() == ["redact"] * 3


@dataclasses.dataclass(frozen=True)
class Message:
    role: str
    image: object


Pair = collections.namedtuple("Pair", "left right")


def test_every_picture_in_the_arguments_is_replaced(setup, picture):
    g, cam, model, describe = setup
    ok, jpeg = cv2.imencode(".jpg", picture)
    ok2, png = cv2.imencode(".png", picture)
    assert ok
    assert ok2
    url = "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
    arguments = {
        "list": [picture, "text"],
        "tuple": (picture, 1),
        "dict": {"deep": {"deeper": [picture]}},
        "dataclass": Message("user", picture),
        "named": Pair(picture, None),
        "grey": np.ascontiguousarray(picture[..., 0]),
        "bgra": np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]),
        "batch": np.stack([picture, np.zeros_like(picture)]),
        "jpeg": jpeg.tobytes(),
        "png": bytearray(png.tobytes()),
        "view": memoryview(png.tobytes()),
        "buffer": png.reshape(-1),
        "url": url,
        "base64": base64.b64encode(png.tobytes()).decode(),
    }
    with cam.frame(picture):
        describe(**arguments)
    _, got = model.got[0]
    assert g.ledger.verdicts() == ["redact"]
    assert g.ledger.entries[0].decision.faces == 14
    for image in (got["list"][0], got["tuple"][0], got["dict"]["deep"]["deeper"][0], got["dataclass"].image,
                  got["named"].left, got["bgra"][..., :3], got["batch"][0]):  # fmt: skip
        hidden(image, picture)
    hidden(got["grey"], arguments["grey"])
    assert not got["batch"][1].any()
    assert type(got["png"]) is bytearray
    assert type(got["named"]) is Pair
    assert got["url"].startswith("data:image/png;base64,")
    assert got["jpeg"][:2] == b"\xff\xd8"
    for data in (got["png"], got["view"], got["buffer"], base64.b64decode(got["url"].partition(",")[2]),
                 base64.b64decode(got["base64"])):  # fmt: skip
        hidden(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), picture)
    x1, y1, x2, y2 = BOX
    lossy = cv2.imdecode(np.frombuffer(got["jpeg"], np.uint8), cv2.IMREAD_COLOR)
    assert lossy[y1 + 8 : y2 - 8, x1 + 8 : x2 - 8].std(axis=(0, 1)).max() < 8
    assert arguments["list"][0] is picture


def test_pillow_pictures_are_looked_at_and_replaced(setup, picture):
    image_module = pytest.importorskip("PIL.Image")
    g, cam, model, describe = setup
    image = image_module.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    with cam.frame(picture):
        describe(image)
    (got,), _ = model.got[0]
    hidden(np.asarray(got)[..., ::-1], picture)


class Holder:
    """Something whose inside cannot be seen."""

    def __init__(self, image):
        self.image = image


def loop():
    endless: list = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "carrier",
    [
        lambda p: Holder(p),
        lambda p: types.SimpleNamespace(image=p),
        lambda p: lambda: p,
        lambda p: iter([p]),
        lambda p: p.astype(np.float32),
        lambda p: np.ascontiguousarray(p.transpose(2, 0, 1)),
        lambda p: np.array([p], dtype=object),
        lambda p: "https://example.invalid/face.jpg",
        lambda p: "frames/face.png",
        lambda p: Path("face.png"),
        lambda p: b"\x00\x01 not a picture",
        lambda p: b"\xff\xd8\xff\xe0 truncated",
        lambda p: "data:image/png;base64,AAAA",
        lambda p: "data:image/svg+xml,<svg/>",
        lambda p: p[:0],
        lambda p: loop(),
        lambda p: [[[[[[[[[[p]]]]]]]]]],
        lambda p: [[0]] * 30_000,
    ],
)
def test_what_cannot_be_looked_at_is_never_let_through(setup, picture, carrier):
    g, cam, model, describe = setup
    empty = picture // 4
    with cam.frame(empty), pytest.raises((guard.Denied, guard.GuardFault)):
        describe(empty, carrier(picture))
    assert model.got == []
    assert g.ledger.verdicts() in (["deny"], ["fault"])
    assert g.ledger.entries[0].decision.faces is None


def test_a_call_without_any_picture_is_denied_where_it_would_be_redacted(setup, picture):
    g, cam, model, describe = setup
    with cam.frame(picture), pytest.raises(guard.Denied, match="no picture was found"):
        describe("who is in the file I sent before?")
    assert model.got == []


def test_a_dict_subclass_that_cannot_be_made_again_is_opaque(setup, picture):
    class Odd(dict):
        def __init__(self, one, two):
            super().__init__(image=one)

    g, cam, model, describe = setup
    with cam.frame(picture), pytest.raises(guard.Denied):
        describe(Odd(picture, 2))
    assert model.got == []


def test_a_finished_frame_says_nothing_about_faces(setup, picture):
    g, cam, model, describe = setup
    empty = picture // 4

    async def run():
        started = asyncio.Event()

        async def later():
            started.set()
            await gate.wait()
            return describe(empty)

        gate = asyncio.Event()
        with cam.frame(empty) as seen:
            task = asyncio.create_task(later())
            await started.wait()
        empty[:] = picture
        gate.set()
        await task
        return seen

    seen = asyncio.run(run())
    (got,), _ = model.got[0]
    x1, y1, x2, y2 = BOX
    assert not np.array_equal(got[y1:y2, x1:x2], picture[y1:y2, x1:x2])
    assert seen.finished


def test_reading_faces_after_the_frame_is_a_fault_on_demand(make_guard, picture):
    g = make_guard(DEMAND)
    with g.source().frame(picture) as seen:
        pass
    with pytest.raises(guard.GuardFault, match="ended"):
        seen.faces  # noqa: B018


def test_names_stripped_lets_the_caption_go_out_as_it_is(make_guard, picture):
    g = make_guard(POLICE.replace("traits = []", "traits = [], names_stripped = true"))
    model = Model()
    describe = g.source().protect(model.describe, action="vlm_describe", service="azure_openai")
    with g.source().frame(picture):
        describe(picture)
    assert g.ledger.verdicts() == ["allow"]
    unnamed = g.source().protect(model.describe, service="azure_openai")
    with g.source().frame(picture):
        unnamed(picture)
    assert g.ledger.verdicts() == ["allow", "redact"]


def test_eight_threads_redact_their_own_pictures(make_guard):
    g = make_guard(POLICE, detector=FakeDetector(by_brightness))
    cam = g.source()
    wrong = []

    def run(seed):
        own = np.random.default_rng(seed).integers(1, 255, (120, 160, 3), dtype=np.uint8)

        def check(got):
            if not np.array_equal(got[:5], own[:5]) or np.array_equal(got, own):
                wrong.append(seed)

        describe = cam.protect(check, service="openai", action=None)
        describe = cam.protect(check, service="azure_openai")
        for _ in range(20):
            with cam.frame(own):
                describe(own)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert g.ledger.verdicts() == ["redact"] * 160
