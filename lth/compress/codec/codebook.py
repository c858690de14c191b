"""Weight sharing by k-means (Han et al. 2016, "Deep Compression", arXiv 1510.00149, Section 3)."""

import numpy as np

ROUNDS = 100


def cluster(values: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Codebook (at most 2^bits values, float32, ascending), and for each value the index of the nearest entry (uint8).

    One-dimensional k-means from evenly spaced centroids, which represents large weights best (their Section 3.2); where
    one has no values, the cluster of the largest squared error is split instead, so that none is lost. The
    codebook is rounded to float16 if that changes it little. Up to 2^bits distinct values are their own codebook, which
    is lossless. Raises ValueError.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits={bits}: choose 1 to 8, or None for float32")
    if not np.isfinite(values).all():
        raise ValueError("a weight is not finite: train again, or store float32 (bits=None)")
    own = np.unique(values)
    if len(own) <= 2**bits:
        return own, np.searchsorted(own, values).astype(np.uint8)
    centroids = _k_means(np.sort(values).astype(np.float64), 2**bits).astype(np.float32)
    codebook = np.unique(round_to_float16(centroids) if fits_float16(centroids) else centroids)
    return codebook, _nearest(codebook, values)


def round_to_float16(values: np.ndarray) -> np.ndarray:
    """Round to the nearest float16; returned as float32."""
    with np.errstate(over="ignore"):
        return values.astype("<f2").astype(np.float32)


def fits_float16(values: np.ndarray) -> bool:
    """True if float16 represents all values to full relative precision: no overflow, no subnormals."""
    return np.allclose(round_to_float16(values), values, rtol=2**-11, atol=0)


def _k_means(ordered: np.ndarray, count: int) -> np.ndarray:
    centroids = np.linspace(ordered[0], ordered[-1], count)
    for _ in range(ROUNDS):
        inner = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        edges = np.unique([0, *inner, len(ordered)])  # without empty clusters
        new = np.add.reduceat(ordered, edges[:-1]) / np.diff(edges)
        if len(new) < count:
            errors = np.add.reduceat((ordered - np.repeat(new, np.diff(edges))) ** 2, edges[:-1])
            new = _split(ordered, edges, new, np.argsort(-errors, kind="stable"), count)
        if np.array_equal(new, centroids):
            break
        centroids = new
    return centroids


def _split(ordered: np.ndarray, edges: np.ndarray, means: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """Means of the clusters between these edges, ascending; as many as are missing, by `order`, are of two halves."""
    found = dict(enumerate(means[:, None].tolist()))
    missing = count - len(means)
    for at in (at for at in order.tolist() if ordered[edges[at]] < ordered[edges[at + 1] - 1]):
        if not missing:
            break
        values = ordered[edges[at] : edges[at + 1]]
        middle = np.clip(np.searchsorted(values, means[at], side="right"), 1, len(values) - 1)
        found[at] = [values[:middle].mean(), values[middle:].mean()]
        missing -= 1
    return np.array([mean for at in range(len(means)) for mean in found[at]])


def _nearest(codebook: np.ndarray, values: np.ndarray) -> np.ndarray:
    middle = (codebook[1:].astype(np.float64) + codebook[:-1]) / 2
    return np.searchsorted(middle, values.astype(np.float64)).astype(np.uint8)
