"""Fits the distortion filters of BSS Eval.

The sum of the filtered references approximates an estimate. The filters with the least squared
error are the solution of normal equations. The coefficients of these equations are the correlations
of the references with each other and with the estimates, at delays up to the length of the filters.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import cho_factor, cho_solve

Signals = NDArray[np.float64]

# Regularisation of the filters, relative to the power of the references. Without regularisation,
# the filters would not be unique if two channels of the references are equal.
_RIDGE = 1e-10

# Length in samples of a block whose correlations are computed at once, and number of blocks in a
# matrix product. With these numbers, the spectra of a quartet fit into the second cache.
_BLOCK = 2048
_BLOCKS = 8

# Number of steps of iterative refinement. Two steps are enough even if two references are equal.
_REFINEMENTS = 2

# Largest error of the normal equations, relative to their right side. A Cholesky decomposition is
# used if the error is larger.
_TOLERANCE = 1e-13


def fit_filters(true: Signals, estimated: Signals, taps: int) -> tuple[Signals, Signals]:
    """Compute the filters of both projections; see :mod:`cmss.results.bss_eval`.

    Args:
        true: references (sources, channels, samples).
        estimated: estimates (sources, channels, samples).
        taps: number of taps of the filters.

    Returns:
        Two arrays of filters. A sum of filtered signals approximates each channel of each estimate.
        The filters of the first array are applied to the channels of all references; the shape of
        this array is (sources, channels, sources * channels, taps). The filters of the second array
        are applied to the channels of the reference of the same source; the shape of this array is
        (sources, channels, channels, taps).
    """
    sources, channels, samples = true.shape
    signals = np.concatenate((true, estimated)).reshape(-1, samples)
    count = sources * channels
    correlations = _correlations(signals[:count], signals, taps)
    gram, products = correlations[..., :count], correlations[..., count:]
    own = [slice(n * channels, (n + 1) * channels) for n in range(sources)]
    all_filters = _solve(gram[None], products[None])[0]
    # The four axes of the filters are (taps, sources * channels, sources, channels).
    all_filters = all_filters.reshape(taps, count, sources, channels).transpose(2, 3, 1, 0)
    own_filters = _solve(
        np.stack([gram[:, n, n] for n in own]), np.stack([products[:, n, n] for n in own])
    )
    return all_filters, own_filters.transpose(0, 3, 2, 1)


def _correlations(inputs: Signals, targets: Signals, taps: int) -> Signals:
    """Compute the correlations of inputs and targets at delays of 0 ... taps - 1 samples.

    The inputs are cut into blocks. Each block is correlated by FFT with the part of the targets
    from the start of the block to `taps` - 1 samples after the end of the block. The products of
    all blocks are summed in the frequency domain. This method takes less time than transforms of
    the full signals, because the blocks stay in the cache, and each correlation needs only one
    short inverse transform.

    Args:
        inputs: signals (inputs, samples).
        targets: signals (targets, samples).
        taps: number of delays.

    Returns:
        Array of shape (taps, inputs, targets). The element [k, i, j] of the array is the sum over n
        of inputs[i, n] * targets[j, n + k].
    """
    samples = inputs.shape[1]
    size = next_fast_len(min(_BLOCK, samples + taps - 1), real=True)
    step = size - taps + 1
    group = min(_BLOCKS, -(-samples // step))
    padded = np.zeros((len(inputs), group, size))
    longer = np.zeros((len(targets), group * step + taps - 1))
    total = np.zeros((size // 2 + 1, len(inputs), len(targets)), complex)
    for start in range(0, samples, group * step):
        # The blocks of the inputs, with zeros for the delays: (inputs, blocks, size).
        part = inputs[:, start : start + group * step]
        longer[: len(inputs), : part.shape[1]] = part
        longer[: len(inputs), part.shape[1] :] = 0
        padded[..., :step] = longer[: len(inputs), : group * step].reshape(-1, group, step)
        # The overlapping parts of the targets: (targets, blocks, size).
        part = targets[:, start : start + longer.shape[1]]
        longer[:, : part.shape[1]] = part
        longer[:, part.shape[1] :] = 0
        overlapping = sliding_window_view(longer, size, axis=1)[:, ::step]
        # The spectra are (bins, signals, blocks), so that the sum over blocks is a matrix product.
        input_spectra = rfft(padded.transpose(2, 0, 1), axis=0)
        target_spectra = rfft(overlapping.transpose(2, 0, 1), axis=0)
        total += np.conj(input_spectra) @ target_spectra.transpose(0, 2, 1)
    return irfft(total, size, axis=0)[:taps]


def _solve(gram: Signals, products: Signals) -> Signals:
    """Solve the normal equations, and return the filters with the least squared error.

    The normal equations are sum over s of gram[t - s] @ filters[s] = products[t], where t and s are
    taps and gram[-k] is the transpose of gram[k]. The matrix of the equations is block-Toeplitz.
    Therefore, a recursion solves the equations in a time proportional to the square of the number
    of taps. A Cholesky decomposition takes a time proportional to the cube of the number of taps.
    The decomposition is used only if the recursion is not accurate, for example if the references
    are stationary tones, or if the signals have fewer samples than the filters have taps.

    Args:
        gram: correlations of the inputs with each other, (systems, taps, inputs, inputs), see
            :func:`_correlations`. Each system is solved separately.
        products: correlations of the inputs with the targets, (systems, taps, inputs, targets).

    Returns:
        Filters (systems, taps, inputs, targets).
    """
    taps, inputs = products.shape[1:3]
    gram = gram.copy()
    power = np.trace(gram[:, 0], axis1=1, axis2=2)
    gram[:, 0] += _RIDGE / inputs * power[:, None, None] * np.eye(inputs)
    solution, predictors, errors = _levinson(gram, products)
    # If the matrix is close to singular, the recursion loses up to six more digits than a Cholesky
    # decomposition. Iterative refinement restores these digits: the inverse of the matrix times the
    # remaining error is added to the solution. Products with the matrix are circular convolutions
    # of twice the length.
    size = next_fast_len(2 * taps - 1, real=True)
    circular = np.zeros((len(gram), size, inputs, inputs))
    circular[:, :taps] = gram
    circular[:, size - taps + 1 :] = gram[:, :0:-1].swapaxes(-1, -2)
    matrix = rfft(circular, axis=1)
    # The inverse is the difference of two products L @ inv(error) @ L.T, in which L is a triangular
    # block-Toeplitz matrix made of a prediction filter (formula of Gohberg and Semencul).
    triangular = rfft(predictors, size, axis=2)
    for step in range(_REFINEMENTS + 1):
        product = irfft(matrix @ rfft(solution, size, axis=1), size, axis=1)[:, :taps]
        missing = products - product
        if step < _REFINEMENTS:
            inner = triangular.conj().swapaxes(-1, -2) @ rfft(missing, size, axis=1)
            inner = irfft(inner, size, axis=2)[:, :, :taps]
            weighted = rfft(np.linalg.solve(errors[:, :, None], inner), size, axis=2)
            forward, backward = triangular @ weighted
            solution += irfft(forward - backward, size, axis=1)[:, :taps]
    # If most singular values of the matrix are almost zero, refinement diverges.
    worst = np.abs(missing).max((1, 2, 3))
    for n in np.flatnonzero(~(worst <= _TOLERANCE * np.abs(products).max((1, 2, 3)))):
        solution[n] = _cholesky(gram[n], products[n])
    return solution


def _cholesky(gram: Signals, products: Signals) -> Signals:
    """Solve block-Toeplitz equations by a Cholesky decomposition of the full matrix.

    Args:
        gram: blocks of the first column, (taps, inputs, inputs).
        products: right side of the equations, (taps, inputs, targets).

    Returns:
        Solution (taps, inputs, targets).
    """
    taps, inputs = products.shape[:2]
    delays = np.subtract.outer(np.arange(taps), np.arange(taps))
    # Only the lower triangle of the matrix is used. In this triangle, no delay is negative.
    matrix = gram[np.abs(delays)].transpose(0, 2, 1, 3).reshape(taps * inputs, -1)
    factor = cho_factor(matrix, lower=True, overwrite_a=True)
    return cho_solve(factor, products.reshape(taps * inputs, -1)).reshape(products.shape)


def _levinson(gram: Signals, products: Signals) -> tuple[Signals, Signals, Signals]:
    """Solve block-Toeplitz equations by the recursion of Levinson for several channels.

    The recursion (Whittle, Biometrika 50, 1963) solves the equations for 1, 2, ... taps. The
    recursion also computes two prediction filters. The product of the matrix and the forward filter
    is zero except for the first block. The product of the matrix and the backward filter is zero
    except for the last block. These two blocks are the covariances of the prediction errors.

    Args:
        gram, products: see :func:`_solve`.

    Returns:
        Three arrays. The first array (systems, taps, inputs, targets) is the solution. The second
        array (2, systems, taps, inputs, inputs) contains the forward filter, and the backward
        filter delayed by a tap. The third array (2, systems, inputs, inputs) contains the
        covariances of the prediction errors of both filters.
    """
    systems, taps, inputs, targets = products.shape
    # In the loop, all arrays are transposed, (systems, columns, taps * inputs), so that the
    # innermost loops are long. `column` has the transposed blocks gram[taps - 1] ... gram[1]. The
    # forward filter and the solution are rows of the same array. The backward filter starts with a
    # block of zeros.
    column = gram[:, :0:-1].swapaxes(-1, -2).reshape(systems, -1, inputs)
    wanted = products.swapaxes(-1, -2)
    rows = np.zeros((systems, inputs + targets, taps * inputs))
    delayed = np.zeros((systems, inputs, (taps + 1) * inputs))
    errors = np.stack((gram[:, 0], gram[:, 0]))
    inverses = np.linalg.inv(errors)
    rows[:, :inputs, :inputs] = delayed[:, :, inputs : 2 * inputs] = np.eye(inputs)
    rows[:, inputs:, :inputs] = wanted[:, 0] @ inverses[1]
    for tap in range(1, taps):
        known, stop = tap * inputs, (tap + 1) * inputs
        # The next block of the product of the matrix and the filters, (systems, rows, inputs).
        excess = rows[:, :, :known] @ column[:, column.shape[1] - known :]
        cross = np.stack((excess[:, :inputs], excess[:, :inputs].swapaxes(-1, -2)))
        gains = cross @ inverses[::-1]
        errors = errors - gains @ cross[::-1]
        errors = (errors + errors.swapaxes(-1, -2)) / 2
        inverses = np.linalg.inv(errors)
        backward = delayed[:, :, :stop] - gains[1] @ rows[:, :inputs, :stop]
        rows[:, :inputs, :stop] -= gains[0] @ delayed[:, :, :stop]
        missing = wanted[:, tap] - excess[:, inputs:]
        rows[:, inputs:, :stop] += missing @ inverses[1] @ backward
        delayed[:, :, inputs : stop + inputs] = backward
    filters = np.concatenate((rows, delayed[:, :, : taps * inputs]), axis=1)
    filters = filters.reshape(systems, -1, taps, inputs).transpose(0, 2, 3, 1)
    forward, solution, backward = np.split(filters, [inputs, inputs + targets], axis=3)
    return solution, np.stack((forward, backward)), errors
