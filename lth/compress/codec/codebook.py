"""A few values that many weights share (Han et al. 2016, "Deep Compression", arXiv 1510.00149, Section 3)."""

import numpy as np

ROUNDS = 100


def shared(values: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(codebook: at most 2^bits values, float32, ascending; the index of the nearest one for each value).

    k-means in one dimension, from centroids spread evenly from the least to the greatest value, which suits large
    weights best (their Section 3.2); rounded to what float16 holds. No more values than that are their own codebook,
    and nothing is lost. Raises ValueError.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits={bits}: choose 1 to 8, or none for float32")
    if not np.isfinite(values).all():
        raise ValueError("a weight is not finite, so weights can't share values: train again, or store float32")
    own = np.unique(values)
    if len(own) <= 2**bits:
        return own, np.searchsorted(own, values).astype(np.uint8)
    centroids = _k_means(np.sort(values).astype(np.float64), 2**bits).astype(np.float32)
    codebook = np.unique(halved(centroids) if short(centroids) else centroids)
    return codebook, _nearest(codebook, values)


def halved(values: np.ndarray) -> np.ndarray:
    """float32, rounded to what float16 holds."""
    with np.errstate(over="ignore"):
        return values.astype("<f2").astype(np.float32)


def short(values: np.ndarray) -> bool:
    """Whether float16 holds them all, none much changed: they are neither too large nor too near 0."""
    return np.allclose(halved(values), values, rtol=2**-11, atol=0)


def _k_means(ordered: np.ndarray, count: int) -> np.ndarray:
    centroids = np.linspace(ordered[0], ordered[-1], count)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(ROUNDS):
        borders = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        edges = np.concatenate([[0], borders, [len(ordered)]])
        sizes = np.diff(edges)
        used = sizes > 0
        new = np.diff(sums[edges])[used] / sizes[used]
        if len(new) == len(centroids) and np.array_equal(new, centroids):
            break
        centroids = new
    return centroids


def _nearest(codebook: np.ndarray, values: np.ndarray) -> np.ndarray:
    middle = (codebook[1:].astype(np.float64) + codebook[:-1]) / 2
    return np.searchsorted(middle, values.astype(np.float64)).astype(np.uint8)
