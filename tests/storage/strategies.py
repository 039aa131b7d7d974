"""Random integer weights and networks, shared by the storage tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dse.integer import (
    LINEAR,
    RELU,
    ActivationGrid,
    ConvGeometry,
    IntegerNetwork,
    IntegerWeights,
    Layer,
    MaxPool,
    Node,
    Requantizer,
    Reshape,
)
from tests.integer.graphs import graphs

LENET5_SHAPES = ((6, 1, 5, 5), (16, 6, 5, 5), (120, 16, 5, 5), (84, 120), (10, 84))

DENSITIES = (0.0, 0.02, 0.1, 0.5, 1.0)


def random_weights(
    shape: tuple[int, ...],
    bits: int,
    rng: np.random.Generator,
    density: float = 0.1,
    mid_rise: bool = False,
) -> IntegerWeights:
    """Weights that are non-zero with probability `density`, on a random grid of `bits` bits."""
    top = (1 << bits) - 1
    zero_point = 0 if mid_rise else int(rng.integers(0, top + 1))
    codes = rng.integers(0, top + 1, shape)
    if mid_rise:
        values = 2 * codes - top
    else:
        values = codes - zero_point
        values[values == 0] = top - zero_point or -zero_point
    values[rng.random(shape) >= density] = 0
    scale = np.exp(rng.normal(-4, 2, shape[0] if rng.random() < 0.5 else 1))
    return IntegerWeights(values.astype(np.int32), bits, zero_point, scale, mid_rise)


@st.composite
def weights(draw: st.DrawFn) -> IntegerWeights:
    """Any width, shape, zero point, density and grid."""
    dims = st.integers(1, 9)
    shape = draw(st.tuples(dims, dims) | st.tuples(dims, dims, st.integers(1, 3), dims))
    bits, density = draw(st.integers(1, 16)), draw(st.sampled_from(DENSITIES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random_weights(shape, bits, rng, density, mid_rise=draw(st.booleans()))


def _grid(rng: np.random.Generator) -> ActivationGrid:
    bits = int(rng.integers(1, 17))
    return ActivationGrid(bits, float(np.exp(rng.normal(-3, 3))), int(rng.integers(0, 1 << bits)))


def _requantizer(rng: np.random.Generator, rows: int) -> Requantizer:
    count = rows if rng.random() < 0.5 else 1
    multiplier = rng.integers(1 << 14, 1 << 15, count)
    spread = rng.choice([0, 3, 70])
    lowest = int(rng.integers(-8, 63 - spread))
    shift = lowest + rng.integers(0, spread + 1, count)
    grid = _grid(rng)
    low, high = sorted(int(code) for code in rng.integers(0, grid.max_code + 1, 2))
    clamps = [(*LINEAR.codes(grid), 0), (*RELU.codes(grid), 0), (low, high, int(rng.integers(16)))]
    return Requantizer(multiplier, shift, grid, *clamps[rng.integers(3)])


def random_layer(
    rng: np.random.Generator,
    names: tuple[str, str],
    shape: tuple[int, ...],
    geometry: ConvGeometry | None = None,
    last: bool = False,
) -> Layer:
    """A layer called names[0] that reads names[1], its last rows often pruned away."""
    bits, density = int(rng.integers(1, 17)), float(rng.choice(DENSITIES))
    weights = random_weights(shape, bits, rng, density, mid_rise=bool(rng.random() < 0.5))
    reach = 1 << int(rng.integers(0, 24))
    bias = rng.integers(-reach, reach, shape[0]) * int(rng.random() < 0.8)
    return Layer(
        names[0], names[1], weights, bias, None if last else _requantizer(rng, shape[0]), geometry
    )


def random_network(seed: int) -> IntegerNetwork:
    """conv (grouped, strided, padded, dilated), perhaps a pool, a reshape, one or two linear."""
    rng = np.random.default_rng(seed)
    pair = lambda low, high: tuple(int(n) for n in rng.integers(low, high + 1, 2))  # noqa: E731
    groups, size = int(rng.integers(1, 3)), pair(6, 9)
    channels, rows = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4))
    geometry = ConvGeometry(pair(1, 2), pair(0, 1), pair(1, 2), groups)
    kernel = pair(1, 3)
    shape = (rows, channels // groups, *kernel)
    nodes: list[Node] = [random_layer(rng, ("block1.conv", "input"), shape, geometry)]
    out = geometry.output_size(size, kernel)
    if rng.random() < 0.5:
        window, step = (min(2, out[0]), min(2, out[1])), pair(1, 2)
        nodes.append(MaxPool("pool", nodes[-1].name, window, step))
        out = ConvGeometry(step).output_size(out, window)
    features = rows * out[0] * out[1]
    nodes.append(Reshape("flat", nodes[-1].name, (features,)))
    if rng.random() < 0.5:
        nodes.append(random_layer(rng, ("fc1", nodes[-1].name), (5, features)))
        features = 5
    nodes.append(random_layer(rng, ("fc2", nodes[-1].name), (3, features), last=True))
    return IntegerNetwork((channels, *size), _grid(rng), tuple(nodes))


def networks() -> st.SearchStrategy[IntegerNetwork]:
    """Random networks, chains and graphs."""
    return st.one_of(st.integers(0, 2**32 - 1).map(random_network), graphs())


def lenet5(bits: int, density: float, seed: int = 0) -> IntegerNetwork:
    """LeNet-5 with random weights; activations of `bits` bits."""
    rng = np.random.default_rng(seed)
    grid = ActivationGrid(bits, 2.0 ** -(bits - 1), 1 << (bits - 1))
    names = ("conv1", "conv2", "conv3", "fc1", "fc2")
    nodes: list[Node] = []
    source = "input"
    for name, shape in zip(names, LENET5_SHAPES, strict=True):
        weights = random_weights(shape, bits, rng, density)
        bias = rng.integers(-(1 << (bits + 3)), 1 << (bits + 3), shape[0])
        requantizer = Requantizer(np.array([20000]), np.array([20]), grid, *RELU.codes(grid))
        geometry = ConvGeometry() if len(shape) == 4 else None
        if name == "conv1":
            geometry = ConvGeometry(padding=(2, 2))
        last = name == "fc2"
        nodes.append(Layer(name, source, weights, bias, None if last else requantizer, geometry))
        source = name
        if name in ("conv1", "conv2"):
            nodes.append(MaxPool(f"{name}_pool", name, (2, 2), (2, 2)))
            source = f"{name}_pool"
        if name == "conv3":
            nodes.append(Reshape("flat", name, (120,)))
            source = "flat"
    return IntegerNetwork((1, 28, 28), grid, tuple(nodes))


def assert_same_network(expected: IntegerNetwork, actual: IntegerNetwork) -> None:
    """Every field of every node equal, arrays in value, shape and dtype."""
    _assert_same(expected, actual)


def _assert_same(expected: object, actual: object) -> None:
    assert type(expected) is type(actual)
    if isinstance(expected, np.ndarray):
        assert isinstance(actual, np.ndarray)
        assert expected.dtype == actual.dtype
        np.testing.assert_array_equal(expected, actual)
    elif isinstance(expected, tuple):
        assert isinstance(actual, tuple)
        assert len(expected) == len(actual)
        for one, other in zip(expected, actual, strict=True):
            _assert_same(one, other)
    elif hasattr(expected, "__dataclass_fields__"):
        for name in expected.__dataclass_fields__:
            _assert_same(getattr(expected, name), getattr(actual, name))
    else:
        assert expected == actual
