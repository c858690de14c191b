"""Steps of fully connected nets on kept weights only, compiled by numba for the processor at hand.

Activations lie transposed, units x 64 examples, so that every kept weight multiplies one contiguous vector of 64
lanes. LLVM turns such vectors into those of the processor: AVX-512, AVX2, NEON. The type of the vectors and the kernels
are one module, since a kernel that is cached on the disk is compiled anew only if its own file changes.

Net: the units of all layers but the input, in order, are rows. Kept weights come in runs: the weights of a row that
read units of one strip, start[run] to start[run + 1] - 1. `column` is the unit that a weight reads: an input for the
rows of the first layer, else a row. For the way back, the weights that read row u are back[u] to back[u + 1] - 1 of
`reader` (the row that reads) and `where` (the place of the weight).
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES, TILE = 64, 16
ADAM, ADAMW, SGD = 0, 1, 2


class Lanes(types.Type):
    """64 floating-point numbers."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


KINDS = {kind: Lanes(kind) for kind in (types.float32, types.float64)}


def _vector(kind):
    return ir.VectorType(ir.FloatType() if kind == types.float32 else ir.DoubleType(), LANES)


_BYTES = ir.VectorType(ir.IntType(8), LANES)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """A vector of LLVM."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, _vector(kind.dtype))


def _undefined(of):
    return ir.Constant(of, ir.Undefined)


def _pick(builder, value, lanes):
    """The lanes of these numbers."""
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(value, _undefined(value.type), lanes)


def _everywhere(builder, scalar, vector):
    first = builder.insert_element(_undefined(vector), scalar, ir.Constant(ir.IntType(32), 0))
    return _pick(builder, first, [0] * LANES)


def _address(context, builder, kind, array, unit, element):
    data = context.make_array(kind)(context, builder, array).data
    place = builder.mul(unit, ir.Constant(unit.type, LANES))
    return builder.bitcast(builder.gep(data, [place]), element.as_pointer())


@intrinsic
def load(typing, array, unit):
    """Lanes of a unit."""

    def code(context, builder, signature, args):
        at = _address(context, builder, array, *args, _vector(array.dtype))
        return builder.load(at, align=array.dtype.bitwidth // 8)

    return KINDS[array.dtype](array, types.intp), code


@intrinsic
def store(typing, array, unit, value):
    """Write the lanes of a unit."""

    def code(context, builder, signature, args):
        at = _address(context, builder, array, args[0], args[1], _vector(array.dtype))
        builder.store(args[2], at, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


@intrinsic
def everywhere(typing, scalar):
    """The same number in all lanes."""

    def code(context, builder, signature, args):
        return _everywhere(builder, args[0], _vector(scalar))

    return KINDS[scalar](scalar), code


@intrinsic
def zeros(typing, like):
    """Lanes of 0, of the type of an array."""
    return KINDS[like.dtype](like), lambda *_: ir.Constant(_vector(like.dtype), None)


@intrinsic
def multiply_add(typing, total, weight, value):
    """total + weight * value, of lanes and one weight."""

    def code(context, builder, signature, args):
        vector = _vector(total.dtype)
        kind = ir.FunctionType(vector, [vector] * 3)
        name = f"llvm.fmuladd.v{LANES}f{total.dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [_everywhere(builder, args[1], vector), args[2], args[0]])

    return total(total, total.dtype, value), code


@intrinsic
def add(typing, a, b):
    """Sum of lanes."""
    return a(a, b), lambda _context, builder, _signature, args: builder.fadd(*args)


@intrinsic
def multiply(typing, a, b):
    """Product of lanes."""
    return a(a, b), lambda _context, builder, _signature, args: builder.fmul(*args)


@intrinsic
def where_positive(typing, value, gate):
    """The lanes of `value` where those of `gate` are positive or NaN, else 0."""

    def code(context, builder, signature, args):
        zero = ir.Constant(_vector(value.dtype), None)
        return builder.select(builder.fcmp_unordered(">", args[1], zero), args[0], zero)

    return value(value, gate), code


@intrinsic
def total(typing, value):
    """Sum over the lanes, by halves."""

    def code(context, builder, signature, args):
        rest, lanes = args[0], LANES
        while lanes > 1:
            lanes //= 2
            rest = builder.fadd(_pick(builder, rest, range(lanes)), _pick(builder, rest, range(lanes, 2 * lanes)))
        return builder.extract_element(rest, ir.Constant(ir.IntType(32), 0))

    return value.dtype(value), code


@intrinsic
def scaled(typing, array, unit, mean, deviation):
    """(lanes of a unit - mean) / deviation, of an array of bytes or of the type of the mean."""

    def code(context, builder, signature, args):
        vector, kind = _vector(mean), array.dtype
        if kind == types.uint8:
            narrow = builder.load(_address(context, builder, array, args[0], args[1], _BYTES), align=1)
            value = builder.uitofp(narrow, vector)
        else:
            value = builder.load(_address(context, builder, array, args[0], args[1], vector), align=kind.bitwidth // 8)
        difference = builder.fsub(value, _everywhere(builder, args[2], vector))
        return builder.fdiv(difference, _everywhere(builder, args[3], vector))

    return KINDS[mean](array, types.intp, mean, mean), code


@intrinsic
def transpose(typing, inputs, at, lane, feature, room):
    """Write 16 features of 16 examples, which begin at inputs[at[lane + i]], to 16 lanes of 16 units of `room`.

    Four times, the i-th of 16 vectors is interleaved with the one 8 places after it.
    """

    def code(context, builder, signature, args):
        vector = ir.VectorType(context.get_data_type(inputs.dtype), TILE)
        source, places, target = (
            context.make_array(kind)(context, builder, args[place]).data
            for kind, place in ((inputs, 0), (at, 1), (room, 4))
        )
        number, align = context.get_constant(types.intp, 0).type, inputs.dtype.bitwidth // 8
        tiles = []
        for i in range(TILE):
            place = builder.load(builder.gep(places, [builder.add(args[2], ir.Constant(number, i))]))
            start = builder.gep(source, [builder.add(place, args[3])])
            tiles.append(builder.load(builder.bitcast(start, vector.as_pointer()), align=align))
        for _ in range(4):
            pairs = [(tiles[i], tiles[i + TILE // 2]) for i in range(TILE // 2)]
            tiles = [_interleaved(builder, *pair, half) for pair in pairs for half in (0, TILE // 2)]
        for i, tile in enumerate(tiles):
            unit = builder.mul(builder.add(args[3], ir.Constant(number, i)), ir.Constant(number, LANES))
            start = builder.gep(target, [builder.add(unit, args[2])])
            builder.store(tile, builder.bitcast(start, vector.as_pointer()), align=align)
        return context.get_dummy_value()

    return types.void(inputs, at, types.intp, types.intp, room), code


def _interleaved(builder, a, b, first):
    lanes = [lane + other for lane in range(first, first + TILE // 2) for other in (0, TILE)]
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), TILE), lanes))


kernel = njit(cache=True, error_model="numpy", boundscheck=False, fastmath={"contract"}, nogil=True)


@kernel
def fetch(inputs, rows, used, mean, deviation, room, x):
    """The used features of examples, scaled and transposed: N x features -> x, features x 64. Lanes beyond the last
    example repeat the first. room: features x 64 numbers of the inputs' type, scratch.
    """
    features = inputs.shape[1]
    at = np.empty(LANES, np.int64)
    for lane in range(LANES):
        at[lane] = rows[lane if lane < len(rows) else 0] * features
    whole = features - features % TILE
    for begin in range(0, LANES, TILE):
        for feature in range(0, whole, TILE):
            transpose(inputs, at, begin, feature, room)
        for lane in range(begin, begin + TILE):
            for feature in range(whole, features):
                room[feature * LANES + lane] = inputs[rows[lane if lane < len(rows) else 0], feature]
    for feature in used:
        store(x, feature, scaled(room, feature, mean[feature], deviation[feature]))


@kernel
def forward(net, weight, bias, x, h):
    """Outputs h of all rows for inputs x; those of hidden layers are rectified."""
    first, hidden, start, column, row, ends = net[0], net[1], net[2], net[3], net[6], net[7]
    for run in range(len(row)):
        r = row[run]
        source = x if r < first else h
        one, other = everywhere(bias[r]), zeros(x)
        if not ends[run] & 1:
            one = load(h, r)
        k, end = start[run], start[run + 1]
        while k + 1 < end:
            one = multiply_add(one, weight[k], load(source, column[k]))
            other = multiply_add(other, weight[k + 1], load(source, column[k + 1]))
            k += 2
        if k < end:
            one = multiply_add(one, weight[k], load(source, column[k]))
        one = add(one, other)
        if r < hidden and ends[run] & 2:
            one = where_positive(one, one)
        store(h, r, one)


@kernel
def descent(net, x, h, d, gradient, bias_gradient):
    """Add the gradients of weights and biases, from those of the outputs, d."""
    first, start, column, row, ends = net[0], net[2], net[3], net[6], net[7]
    for run in range(len(row)):
        r = row[run]
        source, own = x if r < first else h, load(d, r)
        if ends[run] & 1:
            bias_gradient[r] += total(own)
        for k in range(start[run], start[run + 1]):
            gradient[k] += total(multiply(own, load(source, column[k])))


@kernel
def backward(hidden, back, reader, where, weight, h, d):
    """Gradients d of the outputs of the hidden rows, from those of the rows that read them."""
    for u in range(hidden - 1, -1, -1):
        one = zeros(d)
        for k in range(back[u], back[u + 1]):
            one = multiply_add(one, weight[where[k]], load(d, reader[k]))
        store(d, u, where_positive(one, load(h, u)))


@kernel
def cross_entropy(first, classes, targets, rows, size, h, d):
    """Sum of the losses of a chunk, in nats; d: its gradients, divided by `size`, 0 in unused lanes."""
    loss = 0.0
    for lane in range(LANES):
        if lane >= len(rows):
            for i in range(first, first + classes):
                d[i * LANES + lane] = 0
            continue
        most = h[first * LANES + lane]
        for i in range(first, first + classes):
            most = max(most, h[i * LANES + lane])
        mass = most - most
        for i in range(first, first + classes):
            share = np.exp(h[i * LANES + lane] - most)
            d[i * LANES + lane] = share
            mass += share
        target = (first + targets[rows[lane]]) * LANES + lane
        loss += np.log(mass) + most - h[target]
        for i in range(first, first + classes):
            d[i * LANES + lane] = d[i * LANES + lane] / mass / size
        d[target] -= 1 / size
    return loss


@kernel
def correct(first, classes, targets, rows, h):
    """Number of examples of a chunk whose largest output, the first of equal ones, is that of their class."""
    found = 0
    for lane in range(len(rows)):
        best = 0
        for i in range(1, classes):
            if h[(first + i) * LANES + lane] > h[(first + best) * LANES + lane]:
                best = i
        found += best == targets[rows[lane]]
    return found


@kernel
def penalize(l1, l2, parameters, gradient, kept):
    """Add the gradients of l1 * sum |w| + l2 * sum w^2 over the kept weights, which come before the biases."""
    for k in range(kept):
        w = parameters[k]
        gradient[k] += l1 * (w > 0) - l1 * (w < 0) + 2 * l2 * w


@kernel
def adam(scalars, parameters, gradient, first, second):
    """Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019). Sets the gradient to 0. scalars: rate / (1 -
    beta1^t), weight decay in the gradient and of the weights, beta2, 1 - beta1, 1 - beta2, the root of 1 - beta2^t,
    epsilon.
    """
    rate, l2, decay, beta2 = scalars[0], scalars[1], scalars[2], scalars[3]
    new1, new2, root, epsilon = scalars[4], scalars[5], scalars[6], scalars[7]
    for k in range(len(parameters)):
        g = gradient[k] + l2 * parameters[k]
        first[k] += (g - first[k]) * new1
        second[k] = beta2 * second[k] + new2 * g * g
        step = rate * first[k] / (np.sqrt(second[k]) / root + epsilon)
        parameters[k] -= decay * parameters[k] + step
        gradient[k] = 0


@kernel
def descend(scalars, nesterov, parameters, gradient, buffer):
    """Stochastic gradient descent as in PyTorch. Sets the gradient to 0. scalars: rate, weight decay, momentum, 1 -
    dampening.
    """
    rate, l2, momentum, undamped = scalars[0], scalars[1], scalars[2], scalars[3]
    for k in range(len(parameters)):
        g = gradient[k] + l2 * parameters[k]
        buffer[k] = momentum * buffer[k] + undamped * g
        parameters[k] -= rate * (g + momentum * buffer[k] if nesterov else buffer[k])
        gradient[k] = 0


@kernel
def update(kind, settings, rate, step, kept, scalars, parameters, gradient, first, second):
    """Take step number `step` (1 is the first) of an optimizer. settings: float64, see `lth.engine.kernel.block`, as
    all is that is computed here; scalars: room for it in the type of the weights.
    """
    l1, l2, decay = settings[0], settings[1], settings[2]
    if l1 != 0 or l2 != 0:
        scalars[0], scalars[1] = l1, l2
        penalize(scalars[0], scalars[1], parameters, gradient, kept)
    if kind == SGD:
        momentum, dampening = settings[3], settings[4]
        scalars[0], scalars[1], scalars[2] = rate, decay, momentum
        scalars[3] = 1 if step == 1 or momentum == 0 else 1 - dampening
        descend(scalars, settings[5] > 0, parameters, gradient, first)
        return
    beta1, beta2 = settings[3], settings[4]
    scalars[0], scalars[3] = rate / (1 - beta1**step), beta2
    scalars[1], scalars[2] = (0.0, rate * decay) if kind == ADAMW else (decay, 0.0)
    scalars[4], scalars[5], scalars[6], scalars[7] = 1 - beta1, 1 - beta2, np.sqrt(1 - beta2**step), settings[5]
    adam(scalars, parameters, gradient, first, second)


@kernel
def steps(net, back, examples, scaling, order, optimizer, taken, rates, state, rooms, losses):
    """Take steps of training, one for each row of `order` (steps x B, rows of the examples); losses: one for each."""
    hidden, kept, biased = net[1], net[4], net[5]
    inputs, targets = examples
    parameters, moment, second = state
    pixels, x, h, d, gradient, scalars = rooms
    weight, bias, weight_gradient, bias_gradient = (
        parameters[:kept],
        parameters[kept:],
        gradient[:kept],
        gradient[kept:],
    )
    size, classes = order.shape[1], len(bias) - hidden
    for s in range(len(order)):
        loss = 0.0
        for begin in range(0, size, LANES):
            rows = order[s, begin : begin + LANES]
            fetch(inputs, rows, scaling[0], scaling[1], scaling[2], pixels, x)
            forward(net, weight, bias, x, h)
            scalars[0] = size
            loss += cross_entropy(hidden, classes, targets, rows, scalars[0], h, d)
            backward(hidden, back[0], back[1], back[2], weight, h, d)
            descent(net, x, h, d, weight_gradient, bias_gradient)
        for r in range(len(bias)):
            bias_gradient[r] *= biased[r]
        losses[s] = loss / size
        update(optimizer[0], optimizer[1], rates[s], taken + s + 1, kept, scalars, parameters, gradient, moment, second)


@kernel
def score(net, scaling, inputs, targets, parameters, rooms):
    """(sum of the losses, number of correct ones) of examples."""
    hidden, kept = net[1], net[4]
    pixels, x, h, d, scalars = rooms[0], rooms[1], rooms[2], rooms[3], rooms[5]
    weight, bias = parameters[:kept], parameters[kept:]
    classes, loss, found = len(bias) - hidden, 0.0, 0
    for begin in range(0, len(targets), LANES):
        rows = np.arange(begin, min(begin + LANES, len(targets)))
        fetch(inputs, rows, scaling[0], scaling[1], scaling[2], pixels, x)
        forward(net, weight, bias, x, h)
        scalars[0] = 1
        loss += cross_entropy(hidden, classes, targets, rows, scalars[0], h, d)
        found += correct(hidden, classes, targets, rows, h)
    return loss, found


@kernel
def lay_out(inputs, x):
    """Transpose N x features to tiles, each features x 64; lanes beyond the last example are 0."""
    count, features = inputs.shape
    at, whole = np.empty(LANES, np.int64), features - features % TILE
    for t in range(len(x)):
        tile, left = x[t], min(LANES, count - t * LANES)
        for lane in range(LANES):
            at[lane] = (t * LANES + min(lane, left - 1)) * features
        for begin in range(0, LANES, TILE):
            for feature in range(0, whole, TILE):
                transpose(inputs, at, begin, feature, tile)
        for feature in range(features):
            for lane in range(left if feature < whole else 0, LANES):
                tile[feature * LANES + lane] = inputs[t * LANES + lane, feature] if lane < left else 0


@kernel
def linear(net, weight, bias, x, h):
    """Outputs h of one layer for tiles x."""
    for t in range(len(x)):
        forward(net, weight, bias, x[t], h[t])


@kernel
def linear_back(net, back, weight, x, d, dx, gradient, bias_gradient):
    """Gradients of a layer's kept weights, biases and, unless dx is empty, inputs."""
    for t in range(len(x)):
        descent(net, x[t], x[t], d[t], gradient, bias_gradient)
        for u in range(len(back[0]) - 1 if len(dx) else 0):
            one = zeros(d)
            for k in range(back[0][u], back[0][u + 1]):
                one = multiply_add(one, weight[back[2][k]], load(d[t], back[1][k]))
            store(dx[t], u, one)
