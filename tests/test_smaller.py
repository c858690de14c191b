"""Fewer examples, and images of another size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small import COLOUR, DATA

from lth import UserError, data
from lth.cli.config import jobs
from lth.data import Data, Split, limited, resized
from lth.store.digest import describe

MINE = """
from small import DATA


def digits(*, size=4):
    assert size == 5
    return DATA


def tiny():
    return DATA
"""


def rows(split: Split) -> list[bytes]:
    return [image.tobytes() for image in split.inputs]


def test_a_limit_draws_so_many_examples_of_each_split_and_keeps_their_order() -> None:
    few = limited(DATA, 22)
    assert [len(few.train), len(few.validation), len(few.test)] == [22, 21, 22]
    for name in ("train", "validation", "test"):
        whole, part = rows(getattr(DATA, name)), rows(getattr(few, name))
        places = [whole.index(image) for image in part]
        assert places == sorted(set(places))
        assert getattr(few, name).targets.tolist() == getattr(DATA, name).targets[places].tolist()


def test_examples_of_a_smaller_limit_are_among_those_of_a_larger_one() -> None:
    assert {*rows(limited(DATA, 7).train)} < {*rows(limited(DATA, 20).train)}
    assert limited(DATA, 7).fingerprint == limited(DATA, 7).fingerprint != limited(DATA, 8).fingerprint


def test_the_classes_stay_and_are_mixed_where_a_set_is_sorted_by_them() -> None:
    digits = limited(data.mnist_5k(), 100)
    assert digits.outputs == 10
    assert len(np.unique(digits.train.targets)) == 10
    assert limited(DATA, 1).outputs == 3


@pytest.mark.long
def test_a_limited_set_has_a_name_of_its_own_and_a_whole_one_is_described_as_ever() -> None:
    assert (limited(DATA, 7).name, resized(DATA, 8).name) == ("tiny[:7]", "tiny@8x8")
    assert resized(limited(DATA, 7), [8, 6]).name == "tiny[:7]@8x6"
    (all_of, part) = (jobs([*given])[0][0].recipe.data for given in ([], ["data.limit=50"]))
    assert describe(all_of) == describe(data.mnist_5k())
    assert describe(part) != describe(all_of)


def test_images_are_resized_as_pillow_does_it() -> None:
    large = resized(COLOUR, [12, 5])
    assert large.shape == (3, 12, 5)
    theirs = Image.fromarray(COLOUR.test.inputs[3].transpose(1, 2, 0)).resize((5, 12), Image.Resampling.BILINEAR)
    assert (large.test.inputs[3] == np.asarray(theirs).transpose(2, 0, 1)).all()
    assert large.test.targets.tolist() == COLOUR.test.targets.tolist()


def test_a_checkerboard_that_is_halved_is_grey_and_one_colour_stays_one() -> None:
    board = 200 * (np.indices((8, 8)).sum(0) % 2).astype(np.uint8)
    images = np.stack([board, np.full((8, 8), 77, np.uint8)])[:, None]
    part = Split(images, np.array([0, 1]))
    halved = resized(Data("board", part, part, part), 4).train.inputs
    assert halved[0, 0, 1:3, 1:3].tolist() == [[100, 100], [100, 100]]
    assert (halved[1] == 77).all()


def table(dtype: Any = np.float32) -> Data:
    part = Split(np.arange(12, dtype=dtype).reshape(4, 3) % 3, np.array([0, 1, 0, 1]))
    return Data("table", part, part, part)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: limited(DATA, 0), "data.limit=0: must be at least 1"),
        (lambda: resized(DATA, 0), "data.size=0: give a side of at least 1 pixel"),
        (lambda: resized(DATA, [3]), "data.size=[3]: give a side of at least 1 pixel, or a height and a width"),
        (lambda: resized(table(), 8), "data.size=8: the inputs of table are float32, N x 3; only images of bytes"),
        (lambda: resized(DATA, 2**18), "data.size=262144: the images of tiny take "),
    ],
)
def test_what_can_not_be_is_refused(call: Any, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        call()
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["data.limit=0"], "data.limit=0: must be at least 1"),
        (["data.limit=few"], "data.limit=few: must be a whole number or null"),
        (["data.size=[8,-2]"], "data.size=[8, -2]: must be at least 1"),
    ],
)
def test_the_command_line_refuses_them_too(given: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        jobs(given)
    assert str(refused.value).startswith(sentence)


@pytest.mark.long
def test_ones_own_data_set_is_limited_too_unless_it_takes_the_key_itself() -> None:
    Path("mine.py").write_text(MINE, encoding="utf-8")
    model = ["model=mlp", "model.hidden=[4]"]
    ((job, _),) = jobs([*model, "data._target_=mine.tiny", "data.limit=9", "data.size=6"])
    assert (job.recipe.data.name, job.recipe.data.shape) == ("tiny[:9]@6x6", (1, 6, 6))
    ((job, _),) = jobs([*model, "data._target_=mine.digits", "data.size=5"])
    assert job.recipe.data is DATA
