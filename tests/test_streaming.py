"""Data that stream: the numbers of the same images in memory, whoever reads them and wherever training is resumed."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from small import COLOUR, DATA, Stop, conv_net, half_pruned, momentum, recipe, same
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from lth import UserError, augment, cli, imp
from lth.data import Data, Split, image_folder, limited, normalized, resized, rows, streamed
from lth.data.stream import Stream
from lth.engine import Interrupted, train
from lth.engine.train import train as engine_train
from lth.recipe import Recipe
from lth.store.digest import describe
from lth.store.table import tables
from lth.ticket import Ticket, Trained


class Listed(Dataset[Any]):
    """A data set of the images of a split. noise: adds what it draws from all three generators."""

    def __init__(self, split: Split, *, noise: bool = False) -> None:
        self.images, self.labels, self.noise = split.inputs, split.targets, noise

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        image = self.images[row].astype(np.int64)
        if self.noise:
            image += random.randrange(20) + np.random.randint(20) + int(torch.randint(20, ()))
        return image.astype(np.uint8), int(self.labels[row])


def lazy(data: Data, **changes: Any) -> Data:
    """The same data, streamed."""
    parts = {name: getattr(data, name) for name in ("train", "validation", "test")}
    return replace(data, **{n: streamed(Listed(s, **changes), identity=f"tiny {n}") for n, s in parts.items()})


def done(ticket: Ticket, settings: Recipe, **options: Any) -> Trained:
    return engine_train([ticket], recipe=settings, device="cpu", **options)[0]


def alike(one: Trained, other: Trained) -> bool:
    """Equal bits of the weights and of every evaluation."""
    curves = [torch.tensor(each.evaluations.to_numpy()) for each in (one, other)]
    equal = torch.equal(curves[0].nan_to_num(), curves[1].nan_to_num())
    return same(one.weights(), other.weights()) and equal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three classes, 40 for training and 9 each for validation and test, wider than high or the other way."""
    root, drawn = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part, count in (("train", 40), ("val", 9), ("test", 9)):
        for number in range(count):
            place = root / part / f"class_{number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = drawn.integers(0, 160, (14 + number % 5, 15 + number % 3, 3))
            pixels[..., number % 3] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    return root


SETTINGS = {
    "convolutions": {"model": conv_net, "optimizer": momentum},
    "linear layers": {},
    "the sparse kernel": {"kernel": "sparse", "optimizer": partial(torch.optim.SGD, lr=0.1, fused=True)},
    "flips and crops": {"model": conv_net, "augment": partial(augment.flip_crop, pad=1)},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_streamed_data_give_the_bits_of_the_same_data_in_memory(name: str) -> None:
    resident = recipe(data=COLOUR, **SETTINGS[name])
    ticket = half_pruned(resident, step=3, replicate=2)
    expected = done(ticket, resident)
    assert alike(done(ticket, replace(resident, data=lazy(COLOUR))), expected)
    assert expected.facts["kernel"] == ("sparse" if name == "the sparse kernel" else "dense")


def test_statistics_first_batch_and_examples_are_those_of_the_data_in_memory() -> None:
    resident = replace(COLOUR, scaling="standardize")
    one, other = recipe(data=resident), recipe(data=lazy(resident))
    ticket = half_pruned(one, step=2)
    for a, b in zip(imp.batch(one, ticket), imp.batch(other, ticket), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(imp.first_images(one, ticket, 12), imp.first_images(other, ticket, 12))
    assert torch.equal(one.data.example(3), other.data.example(3))
    assert torch.equal(normalized(one.data, one.data.test)[0], normalized(other.data, other.data.test)[0])


def test_a_folder_gives_the_bits_of_its_images_as_arrays(folder: Path) -> None:
    data = image_folder(root=str(folder), size=8, moments="computed")
    arrays = {n: Split(getattr(data, n).inputs, getattr(data, n).targets) for n in ("train", "validation", "test")}
    resident = recipe(data=replace(data, **arrays), model=conv_net)
    assert [len(each) for each in arrays.values()] == [40, 9, 9]
    assert data.train.targets.tolist() == sorted(data.train.targets.tolist())
    ticket = half_pruned(resident)
    assert alike(done(ticket, replace(resident, data=data)), done(ticket, resident))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(augment.none, id="none"),
        pytest.param(augment.resized_crop, id="resized_crop", marks=pytest.mark.long),
    ],
)
def test_workers_change_nothing_and_resuming_goes_on_with_the_same_images(folder: Path, change: Any) -> None:
    settings = recipe(data=image_folder(root=str(folder), size=8), model=conv_net, augment=change, evaluate_every=10)
    ticket, states = half_pruned(settings, step=1), dict[Ticket, Any]()
    expected = done(ticket, settings)
    with pytest.raises(Interrupted):
        done(ticket, settings, callback=Stop(7), save=states.__setitem__, workers=2)
    assert int(states[ticket]["step"]) == 7
    assert alike(done(ticket, settings, states=states, workers=1), expected)


@pytest.mark.long
def test_what_a_data_set_draws_at_random_depends_on_replicate_step_and_place_alone() -> None:
    settings = recipe(data=lazy(COLOUR, noise=True), model=conv_net, evaluate_every=20)
    ticket, states = half_pruned(settings), dict[Ticket, Any]()
    before = random.getstate(), torch.get_rng_state()
    expected = done(ticket, settings)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    with pytest.raises(Interrupted):
        done(ticket, settings, callback=Stop(6), save=states.__setitem__)
    assert alike(done(ticket, settings, states=states, workers=2), expected)
    plain = done(ticket, replace(settings, data=lazy(COLOUR)))
    assert not same(plain.weights(), expected.weights())
    other = done(replace(ticket, replicate=5), settings)
    assert not same(other.weights(), expected.weights())
    assert np.array_equal(settings.data.train.inputs, settings.data.train.inputs)


class Watched(Listed):
    """Notes the rows that are read."""

    read: ClassVar[list[int]] = []

    def __getitem__(self, row: int) -> tuple[Any, int]:
        self.read.append(row)
        return super().__getitem__(row)


def test_a_training_that_starts_at_step_k_reads_batch_k_first_and_no_more_than_it_needs() -> None:
    data = replace(DATA, train=streamed(Watched(DATA.train), identity="watched"))
    settings = recipe(data=data, evaluate_every=20)
    ticket = half_pruned(settings, step=15, replicate=4)
    assert settings.layers.kinds
    Watched.read.clear()
    done(ticket, settings)
    expected = rows(4, 15, 20, size=50, batch_size=10).flatten().tolist()
    example = len(Watched.read) - 100
    assert Watched.read[example:] == [*expected, *range(50)]  # the steps, and the accuracy on the training set
    assert example < 10  # such as the one that is followed through the net


@pytest.mark.long
def test_stacks_are_not_made_of_streams(caplog: pytest.LogCaptureFixture) -> None:
    settings = recipe(data=lazy(DATA))
    tickets = [half_pruned(settings, replicate=replicate) for replicate in (1, 2)]
    both = train(tickets, recipe=settings, device="cpu", width=2)
    for one, ticket in zip(both, tickets, strict=True):
        assert alike(one, done(ticket, recipe()))
    assert "the data set streams" in caplog.text


def test_crops_are_distributed_as_those_of_pytorch() -> None:
    from torchvision.transforms import RandomResizedCrop

    ours = torch.tensor([augment._box(40, 30, 0.08, 4 / 3, torch.Generator().manual_seed(n)) for n in range(1500)])
    image = torch.zeros(3, 30, 40)
    torch.manual_seed(0)
    drawn = torch.tensor([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(1500)])
    top, left, height, width = drawn.T
    theirs = torch.stack([left, top, left + width, top + height], 1)
    for boxes in (ours, theirs):
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= torch.tensor([40, 30])).all()
    assert torch.allclose(ours.double().mean(0), theirs.double().mean(0), atol=0.6)
    assert torch.allclose(ours.double().std(0), theirs.double().std(0), atol=0.6)


def test_a_crop_of_the_whole_area_and_shape_is_the_image_or_its_mirror() -> None:
    images = torch.tensor(COLOUR.train.inputs)
    changed = augment.resized_crop(images, replicate=1, step=5, area=1.0, aspect=1.0)
    flipped = [torch.equal(a, b.flip(2)) for a, b in zip(changed, images, strict=True)]
    assert all(a or torch.equal(b, c) for a, b, c in zip(flipped, changed, images, strict=True))
    assert 10 < sum(flipped) < 40
    again = augment.resized_crop(images[:3], replicate=1, step=5, area=1.0, aspect=1.0)
    assert torch.equal(again, changed[:3])


def test_the_whole_image_is_cropped_where_it_is_read_from_a_file(folder: Path) -> None:
    data = image_folder(root=str(folder), size=8)
    source: Any = data.train.source
    settings = {"replicate": 3, "step": 2, "area": 0.08, "aspect": 4 / 3}
    crop = augment._of_file(source.dataset.decoded(5), (8, 8), 1, **settings)
    seen: list[Tensor] = []

    def keep(parameters: Iterator[Any]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.0)

    net_recipe = recipe(data=data, model=partial(_spy, seen=seen), optimizer=keep, batch_size=2, steps=3,
                        augment=augment.resized_crop, evaluate_every=3)  # fmt: skip
    ticket = half_pruned(net_recipe, step=2, replicate=3)
    order = rows(3, 2, 3, size=40, batch_size=2)[0]
    seen.clear()
    done(ticket, net_recipe)
    scale = data.statistics
    expected = augment._of_file(source.dataset.decoded(int(order[1])), (8, 8), 1, **settings)
    pixels = torch.tensor(np.asarray(expected)).permute(2, 0, 1).double()
    shaped = (pixels - torch.tensor(scale[0])[:, None, None]) / torch.tensor(scale[1])[:, None, None]
    assert any(len(batch) == 2 and torch.allclose(batch[1].double(), shaped, atol=1e-5) for batch in seen)
    assert crop.size == (8, 8)


def _spy(shape: Any, classes: int, *, seen: list[Tensor]) -> torch.nn.Module:
    net = conv_net(shape, classes)
    net.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    return net


def imagenet(folder: Path, tmp_path: Path, *words: str) -> int:
    """Try the experiment on ImageNet with a folder of images."""
    given = [f"data.root={folder}", "data.size=16", f"root={tmp_path / 'runs'}", "tracking=none", "precision=fp32"]
    return cli.main(["run", "experiment=frankle2019b_stabilizing", "debug=true", "device=cpu", *given, *words])


@pytest.mark.long
def test_the_experiment_on_imagenet_runs_on_a_folder_of_images(folder: Path, tmp_path: Path) -> None:
    assert imagenet(folder, tmp_path, "model.name=shufflenet_v2_x0_5", "workers=1", "levels=[35]") == 0
    rows, _ = tables(tmp_path / "runs", "frankle2019b_stabilizing-debug")
    assert [round(100 * density) for density in rows["density"]] == [100, 70]
    assert {*rows["data"]} == {"image_folder[:100]"}
    assert {*rows["rewind.step"]} == {1}


@pytest.mark.slow
def test_resnet_50_is_pruned_rewound_and_trained_by_two_processes(folder: Path, tmp_path: Path) -> None:
    assert imagenet(folder, tmp_path, "devices=2") == 0
    rows, _ = tables(tmp_path / "runs", "frankle2019b_stabilizing-debug")
    assert [round(100 * density) for density in rows["density"]] == [100, 70, 50]
    assert (rows["total"] > 23e6).all()


def test_a_digest_knows_the_listing_and_not_the_folder(folder: Path, tmp_path: Path) -> None:
    import shutil

    def known(root: Path, **changes: Any) -> Any:
        return describe(image_folder(root=str(root), **{"size": 8, **changes}))

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert known(copy) == known(folder)
    assert known(copy, size=9) != known(folder)
    assert known(copy, moments="computed") != known(folder)
    (copy / "train" / "class_0" / "0.png").rename(copy / "train" / "class_0" / "x0.png")
    assert known(copy) != known(folder)


def test_a_digest_of_a_data_set_knows_its_identity_targets_and_some_examples() -> None:
    labels = DATA.train.targets.copy()
    labels[[0, 1]] = labels[[1, 0]]
    darker = Split(DATA.train.inputs // 2, DATA.train.targets)
    made = [
        streamed(Listed(DATA.train), identity="a"),
        streamed(Listed(DATA.train), identity="b"),
        streamed(Listed(Split(DATA.train.inputs, labels)), identity="a"),
        streamed(Listed(darker), identity="a"),
        streamed(Listed(DATA.train), identity="a").take(np.arange(49)),
    ]
    found = [replace(DATA, train=each).fingerprint for each in made]
    assert len({*found}) == len(found)
    assert replace(DATA, train=streamed(Listed(DATA.train), identity="a")).fingerprint == found[0]


def test_one_held_out_folder_is_the_test_set_and_validation_is_drawn_by_a_fixed_seed(
    folder: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(folder / "train", tmp_path / "train")
    shutil.copytree(folder / "val", tmp_path / "val")
    data = image_folder(root=str(tmp_path), size=8, validation=10)
    assert [len(data.train), len(data.validation), len(data.test)] == [30, 10, 9]
    again = image_folder(root=str(tmp_path), size=8, validation=10)
    assert np.array_equal(data.validation.rows, again.validation.rows)
    assert not {*data.train.rows.tolist()} & {*data.validation.rows.tolist()}
    with pytest.raises(UserError, match=r"data.validation=40: hold out between 1 and 39 training images"):
        image_folder(root=str(tmp_path), size=8, validation=40)
    assert len(limited(data, 12).train) == 12


def test_the_center_of_an_image_is_seven_eighths_of_its_shorter_side(tmp_path: Path) -> None:
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[4:60, 20:76] = 200  # the center, 56 x 56
    for part, name in product(("train", "val", "test"), "ab"):
        (tmp_path / part / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / part / name / "0.png")
    data = image_folder(root=str(tmp_path), size=56)
    assert (data.train.inputs[0] == 200).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named(folder: Path, tmp_path: Path, workers: int) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "images")
    broken = tmp_path / "images" / "train" / "class_1" / "13.png"
    broken.write_bytes(broken.read_bytes()[:90])
    settings = recipe(data=image_folder(root=str(tmp_path / "images"), size=8), model=conv_net)
    with pytest.raises(UserError, match=r"class_1/13.png can't be read as an image \(.*\): replace it, or delete it"):
        done(half_pruned(settings), settings, workers=workers)


class Odd(Listed):
    """A data set of which one example is not like the others."""

    def __init__(self, split: Split, value: Any) -> None:
        super().__init__(split)
        self.value = value
        self.targets = split.targets

    def __getitem__(self, row: int) -> Any:
        return self.value if row == 17 else super().__getitem__(row)


ODD = {
    "another shape": (
        (np.zeros((1, 5, 4), np.uint8), 2),
        "example 17 of the streamed Odd is uint8, 1 x 5 x 4, the first",
    ),
    "another type": ((np.zeros((1, 4, 4), np.float32), 2), "example 17 of the streamed Odd is float32, 1 x 4 x 4"),
    "another target": ((DATA.train.inputs[17], 0), "has the target 0, and 2 in the list of its targets"),
    "no target": (DATA.train.inputs[17], "example 17 of the streamed Odd is a ndarray: a streamed data set gives"),
    "no input": ((None, 2), "an input of type NoneType: give a tensor, a NumPy array or a PIL image"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_example_that_is_not_like_the_others_is_a_sentence(name: str) -> None:
    value, message = ODD[name]
    settings = recipe(data=replace(DATA, train=streamed(Odd(DATA.train, value), identity="odd")))
    ticket = half_pruned(recipe())
    with pytest.raises(UserError, match=message):
        done(ticket, settings)


class _Own(Listed):
    """A data set that draws from a generator of its own."""

    def __init__(self, split: Split) -> None:
        super().__init__(split)
        self.random = np.random.default_rng(0)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        return self.random.integers(0, 255, (1, 4, 4)).astype(np.uint8), int(self.labels[row])


def test_a_data_set_with_a_generator_of_its_own_is_refused() -> None:
    with pytest.raises(UserError, match="example 0 of the streamed _Own differs each time that it is read: draw from"):
        streamed(_Own(DATA.train), identity="own")


@pytest.mark.parametrize(
    ("mean", "deviation", "sentence"),
    [
        ([0.5], [0.25], r"for bytes they must be on the scale of 0 to 255: multiply by 255"),
        ([128.0, 128.0], [64.0, 64.0], "give a mean and a deviation for each of 1 channels"),
        ([math.nan], [64.0], "give a mean and a deviation for each of 1 channels"),
        ([128.0], [0.0], "inputs are divided by the deviations, give numbers above 0"),
    ],
)
def test_moments_that_do_not_fit_are_refused(mean: list[float], deviation: list[float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        streamed(Listed(DATA.train), identity="moments", moments=(mean, deviation))


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_an_image_of_more_than_8_bits_is_refused(mode: str, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        pixels = np.full((9, 9), 1000, np.uint16 if mode == "I;16" else np.float32)
        Image.fromarray(pixels).save(tmp_path / part / "a" / "0.tiff")
    with pytest.raises(UserError, match=rf"0\.tiff has pixels of more than 8 bits \(mode {mode}\): convert them"):
        image_folder(root=str(tmp_path), size=8)


def test_a_class_without_images_is_refused_and_other_files_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for part in ("train", "val", "test"):
        for name in ("a", "b"):
            (tmp_path / part / name / "within").mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / part / "a" / "0.jpg")
    with pytest.raises(UserError, match=r"train/b has no images .*: a class is a folder of images"):
        image_folder(root=str(tmp_path), size=8)
    Image.new("RGB", (9, 9)).save(tmp_path / "train" / "b" / "0.jpg")
    assert image_folder(root=str(tmp_path), size=8).classes == 2
    assert "train: 2 entries of its classes are not images" in caplog.text


def test_floats_that_are_not_numbers_are_found_when_they_are_read() -> None:
    numbers = DATA.train.inputs.astype(np.float32)
    numbers[20, 0, 0, 0] = np.nan
    split = Split(numbers, DATA.train.targets)
    parts = {name: streamed(_Floats(split), identity="floats") for name in ("train", "validation", "test")}
    settings = recipe(data=replace(DATA, **parts, scaling="none"))
    with pytest.raises(UserError, match="example 20 of the streamed _Floats holds NaN or infinite values"):
        done(half_pruned(recipe()), settings)
    with pytest.raises(UserError, match=r"data.scaling=unit: the training inputs of tiny are float32 and stream"):
        replace(DATA, **parts, scaling="unit")


class _Floats(Listed):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        return torch.tensor(self.images[row]), int(self.labels[row])


class _Tokens(Listed):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        return torch.arange(4), int(self.labels[row])


def test_what_can_not_stream_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = streamed(_Tokens(DATA.train), identity="tokens")
    with pytest.raises(UserError, match=r"the training set of tiny streams tokens \(int64\): give them as one array"):
        replace(DATA, train=tokens, validation=tokens, test=tokens)
    with pytest.raises(UserError, match=r"data.size=9: tiny streams, and its images are not resized"):
        resized(lazy(DATA), 9)
    monkeypatch.setattr("lth.data.memory.memory", lambda: 1000.0)
    with pytest.raises(UserError, match=r"24 streamed inputs take 0.0 GB as one array"):
        normalized(lazy(DATA), lazy(DATA).test)
    with pytest.raises(UserError, match="needs the folders"):
        image_folder(root=str(tmp_path))
    (tmp_path / "train" / "a").mkdir(parents=True)
    (tmp_path / "val" / "b").mkdir(parents=True)
    with pytest.raises(UserError, match="train has no images"):
        image_folder(root=str(tmp_path))
    Image.new("RGB", (9, 9)).save(tmp_path / "train" / "a" / "0.jpg")
    with pytest.raises(UserError, match="b is a class that the training set does not have"):
        image_folder(root=str(tmp_path))
    with pytest.raises(UserError, match="2 targets for 50 examples"):
        streamed(Listed(DATA.train), identity="short", targets=[0, 1])
    with pytest.raises(UserError, match=r"data.size=\[8, 9\]: data=image_folder gives square images"):
        image_folder(root=str(folder), size=[8, 9])  # type: ignore[arg-type]


def test_a_pil_image_is_bytes_with_its_channels_first() -> None:
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    stream = Stream([(image, 0)], np.array([0]), "one")
    assert stream.shape == (1, 3, 2, 4)
    assert stream[:][0, 1, 1, 2] == 3 * 4 + 3 * 2 + 1
    with pytest.raises(UserError, match="an image of mode P"):
        Stream([(image.convert("P"), 0)], np.array([0]), "one")


def test_a_data_set_without_numbered_rows_is_refused() -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from ()

        def __len__(self) -> int:  # as those of some libraries have
            return 0

    with pytest.raises(UserError, match=r"Endless lacks __len__ or __getitem__.* give a map-style Dataset"):
        streamed(Endless(), identity="a")
