"""Text as tokens, a table with numbers to predict, and the transformer."""

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from small import few

from lth import UserError
from lth.data import diabetes, normalized, text
from lth.init import glorot_normal
from lth.layer import layers
from lth.model import transformer
from lth.quantization import layers as rounded
from lth.quantization import quantized
from lth.quantization.scheme import Scheme


def written(folder: Path, content: str | bytes) -> str:
    file = folder / "text.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def test_a_text_is_split_by_position_into_sequences_and_their_next_tokens(tmp_path: Path) -> None:
    data = text(file=written(tmp_path, "abcdefghijklmnopqrst"), length=3, validation=0.25, test=0.25)
    spelled = [
        ["".join(chr(97 + token) for token in tokens) for tokens in part]
        for split in (data.train, data.validation, data.test)
        for part in (split.inputs, split.targets)
    ]
    # 10, 5 and 5 letters; the second half of the validation and test sets lacks a next letter
    assert spelled == [["abc", "def", "ghi"], ["bcd", "efg", "hij"], ["klm"], ["lmn"], ["pqr"], ["qrs"]]
    assert (data.shape, data.outputs) == ((3,), 20)


@few
@given(st.text("abcé€\n ", min_size=40, max_size=200), st.integers(1, 5), st.sampled_from([0.2, 0.3]))
def test_no_token_is_in_two_splits_and_each_is_followed_by_its_next(content: str, length: int, share: float) -> None:
    import tempfile

    assume(len({*content}) > 1)  # else there is one class, which is refused
    with tempfile.TemporaryDirectory() as folder:
        data = text(file=written(Path(folder), content), length=length, validation=share, test=share)
    letters, left = sorted(set(content)), content
    for split in (data.train, data.validation, data.test):
        inputs, targets = ("".join(letters[i] for i in part.ravel()) for part in (split.inputs, split.targets))
        start = left.find(inputs + targets[-1])  # together a piece of what the splits before left over
        assert start >= 0
        assert inputs[1:] == targets[:-1]
        left = left[start + len(inputs) + 1 :]


def test_tokens_are_characters_or_bytes(tmp_path: Path) -> None:
    content = "äöü€" * 20
    characters = text(file=written(tmp_path, content), length=2)
    octets = text(file=written(tmp_path, content), length=2, level="byte")
    assert (characters.outputs, octets.outputs) == (4, 256)
    assert characters.train.inputs[0].tolist() == [0, 1]
    assert bytes(octets.train.inputs[0].tolist()) == "ä".encode()


def test_the_embedded_text_is_the_names_of_characters_the_same_in_every_python() -> None:
    data = text(length=1)
    tokens = np.concatenate([s.inputs.ravel() for s in (data.train, data.validation, data.test)])
    letters = np.array(["\n", " ", "-", *"0123456789", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
    assert data.outputs == len(letters) == 39
    assert len(tokens) == 354_743 - 3  # the last of each split has no next
    content = "".join(letters[tokens])
    assert {"LATIN SMALL LETTER A", "GREEK CAPITAL LETTER OMEGA"} <= set(content.split("\n"))
    assert (
        hashlib.sha256(content.encode()).hexdigest()
        == "282aa6f70db3d6263c56a7441585df959f5fd764a866ba203e378b9b8df7fe60"
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"file": "nowhere.txt"}, "data.file=nowhere.txt: No such file or directory; give a text file"),
        (
            {"file": b"\xff\xfe" * 99},
            "is not UTF-8 (invalid start byte at byte 0): convert it, or choose data.level=byte",
        ),
        (
            {"file": b"short"},
            "has 5 tokens, and one split 0, too few for 64 and the token after them: lower data.length",
        ),
        ({"file": b""}, "has 0 tokens, and one split 0"),
        ({"length": 0}, "data.length=0: must be at least 1"),
        ({"test": 0.0}, "data.test=0.0: a share of the text above 0, both together below 1"),
        ({"validation": 0.6, "test": 0.4}, "data.validation=0.6: a share of the text above 0"),
    ],
)
def test_a_text_that_cannot_be_split_is_refused(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    if isinstance(changes.get("file"), bytes):
        changes = {"file": written(tmp_path, changes["file"])}
    with pytest.raises(UserError, match=re.escape(sentence)):
        text(**changes)


def test_bytes_that_are_no_text_are_taken_as_bytes(tmp_path: Path) -> None:
    assert text(file=written(tmp_path, b"\xff\xfe" * 99), length=2, level="byte").outputs == 256


def test_diabetes_is_the_table_of_scikit_learn_split_once_and_standardized_by_the_training_rows() -> None:
    inputs, targets = sklearn.datasets.load_diabetes(return_X_y=True, scaled=False)
    data = diabetes()
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [310, 66, 66]
    every = np.concatenate([part.inputs for part in parts])
    assert Counter(map(bytes, every)) == Counter(map(bytes, inputs))
    mean, deviation = (np.mean, np.std)
    known = {bytes(row): number for row, number in zip(inputs, targets, strict=True)}
    scores = np.array([known[bytes(row)] for row in data.train.inputs])
    np.testing.assert_allclose(data.train.targets, (scores - mean(scores)) / deviation(scores))
    scaled = normalized(data, data.train)[0]
    torch.testing.assert_close(scaled.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0, unbiased=False), torch.ones(10))
    assert data.fingerprint == diabetes(scaling="none").fingerprint


@pytest.mark.parametrize("changes", [{"validation": 0}, {"test": 442}, {"validation": 300, "test": 142}])
def test_rows_that_cannot_be_held_out_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UserError, match="hold out at least 1 each, and fewer than 442 together"):
        diabetes(**changes)


def net(**changes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return transformer((6,), 5, **{"d_model": 8, "heads": 2, "layers": 2, "feed_forward": 12, **changes}).eval()


def test_a_position_of_the_transformer_sees_itself_and_those_before() -> None:
    tokens = torch.tensor([[0, 1, 2, 3, 4, 0]])
    for place in range(6):
        other = tokens.clone()
        other[0, place] = (other[0, place] + 1) % 5
        differs = (net()(tokens) != net()(other)).any(-1)[0]
        assert not differs[:place].any()
        assert differs[place:].all()


def test_attention_is_the_softmax_of_scaled_products_over_the_positions_before() -> None:
    attention = net().blocks[0].attention
    x = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(1))
    q, k, v = (layer(x).view(3, 6, 2, 4) for layer in (attention.query, attention.key, attention.value))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / 2  # the square root of 4
    scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)
    mixed = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).reshape(3, 6, 8)
    torch.testing.assert_close(attention(x), attention.out(mixed))


def test_every_matrix_of_the_transformer_but_the_embedding_is_pruned_and_rounded() -> None:
    found = layers(net(), torch.zeros(1, 6, dtype=torch.int64))
    assert sum(net().get_parameter(name).numel() for name in found.kinds) == 2 * (4 * 8 * 8 + 2 * 8 * 12) + 8 * 5
    assert [name for name, kind in found.kinds.items() if kind == "output"] == ["output.weight"]
    assert list(found.left) == ["token.weight"]
    eight_bits = quantized(net(), Scheme(8, None, True, True, "min_max"))
    assert [name for name, _ in rounded(eight_bits)] == list(found.kinds)


def test_an_init_draws_the_layers_and_leaves_the_embeddings() -> None:
    one = net()
    weights = glorot_normal(one, 3)
    assert torch.equal(weights["token.weight"], one.state_dict()["token.weight"])
    assert not torch.equal(weights["blocks.0.attention.key.weight"], one.state_dict()["blocks.0.attention.key.weight"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"heads": 3}, "model.d_model=8, model.heads=3: the heads share d_model equally; give a multiple"),
        ({"layers": 0}, "model.layers=0: must be at least 1"),
        ({"d_model": -8}, "model.d_model=-8: must be at least 1"),
    ],
)
def test_a_transformer_that_cannot_be_built_is_refused(changes: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        net(**changes)
