"""NumPy's legacy normal deviates, several times as fast, from and back to its global generator.

HAAQI adds 64 noise signals to 64 bands, and a score is reproduced only with the same deviates. So
the generator is computed again here: the Mersenne Twister (Matsumoto and Nishimura 1998) and
Marsaglia's polar method as in NumPy's `legacy_gauss`, a block of 624 words at a time.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cmss.compiled import compiled
from cmss.errors import InputError
from cmss.haaqi.filterbank import Array
from cmss.haaqi.vector_math import fast_log

Words = NDArray[np.uint32]

_WORDS = 624
_PAIRS = _WORDS // 4


class NormalDeviates:
    """Standard normal deviates as `np.random.standard_normal` would draw them, from a copy.

    NumPy's generator stays as it is until `store`.

    Raises:
        InputError: NumPy's global generator is not the Mersenne Twister that it is by default.
    """

    def __init__(self) -> None:
        state: dict[str, Any] = np.random.get_state(legacy=False)
        name = state["bit_generator"]
        if name != "MT19937":
            raise InputError(f"HAAQI: NumPy's global generator must be MT19937, got {name}")
        self._key: Words = state["state"]["key"].copy()
        self._rest = int(state["state"]["pos"]), bool(state["has_gauss"]), float(state["gauss"])

    def fill(self, output: Array) -> None:
        """Draw as many deviates as `output` (samples,) holds."""
        self._rest = _draw(self._key, *self._rest, output.size, output)

    def skip(self, count: int) -> None:
        """Draw that many deviates and forget them."""
        self._rest = _draw(self._key, *self._rest, count, np.empty(0))

    def store(self) -> None:
        """Give NumPy's global generator the state that the draws have led to."""
        position, has_spare, spare = self._rest
        np.random.set_state(("MT19937", self._key, position, int(has_spare), spare))


@compiled()
def _next_block(key: Words) -> None:
    """The next 624 untempered words, in place."""
    upper, lower, one = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(1)
    matrix, zero = np.uint32(0x9908B0DF), np.uint32(0)
    for i in range(227):
        y = (key[i] & upper) | (key[i + 1] & lower)
        key[i] = key[i + 397] ^ (y >> one) ^ ((zero - (y & one)) & matrix)
    for i in range(227, 623):
        y = (key[i] & upper) | (key[i + 1] & lower)
        key[i] = key[i - 227] ^ (y >> one) ^ ((zero - (y & one)) & matrix)
    y = (key[623] & upper) | (key[0] & lower)
    key[623] = key[396] ^ (y >> one) ^ ((zero - (y & one)) & matrix)


@compiled()
def _temper(key: Words, words: Words) -> None:
    for i in range(key.size):
        y = key[i]
        y ^= y >> np.uint32(11)
        y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
        y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
        words[i] = y ^ (y >> np.uint32(18))


@compiled(error_model="numpy")
def _draw(
    key: Words, position: int, has_spare: bool, spare: float, count: int, output: Array
) -> tuple[int, bool, float]:
    """Draw `count` deviates into `output`, or nowhere if that is empty.

    `key` moves on in place; the position in it, and the spare deviate of the last pair, are
    returned.
    """
    keep = output.size > 0
    done = 0
    if has_spare and count:
        if keep:
            output[0] = spare
        done, has_spare, spare = 1, False, 0.0
    # Words that a block leaves over, at most three, precede the next block's.
    words = np.empty(3 + _WORDS, np.uint32)
    carried = 0
    _temper(key, words[3:])
    x, y, square = np.empty(_PAIRS + 1), np.empty(_PAIRS + 1), np.empty(_PAIRS + 1)
    while done < count:
        if position == _WORDS:
            _next_block(key)
            _temper(key, words[3:])
            position = 0
        stretch = words[3 + position - carried :]
        pairs = stretch.size // 4
        for i in range(pairs):
            x[i] = _uniform(stretch[4 * i], stretch[4 * i + 1])
            y[i] = _uniform(stretch[4 * i + 2], stretch[4 * i + 3])
            square[i] = x[i] * x[i] + y[i] * y[i]
        wanted = (count - done + 1) // 2
        accepted = used = 0
        while used < pairs and accepted < wanted:
            x[accepted], y[accepted], square[accepted] = x[used], y[used], square[used]
            accepted += (square[used] < 1.0) and (square[used] != 0.0)
            used += 1
        if keep:
            whole = min(accepted, (count - done) // 2)
            pair = output[done : done + 2 * whole]
            for i in range(whole):
                scale = np.sqrt(-2.0 * fast_log(square[i]) / square[i])
                pair[2 * i] = scale * y[i]
                pair[2 * i + 1] = scale * x[i]
        done += 2 * accepted
        if done > count:  # half a pair: the spare must equal NumPy's to the last bit
            last = accepted - 1
            scale = np.sqrt(-2.0 * np.log(square[last]) / square[last])
            if keep:
                output[count - 1] = scale * y[last]
            has_spare, spare = True, scale * x[last]
        if done >= count:
            position += 4 * used - carried
        else:
            carried = stretch.size - 4 * pairs
            words[3 - carried : 3] = stretch[4 * pairs :]
            position = _WORDS
    return position, has_spare, spare


@njit(inline="always")
def _uniform(high: int, low: int) -> float:
    """A double between -1 and 1 out of two words, 53 bits."""
    top = np.float64(np.int32(high >> np.uint32(5)))
    return 2.0 * ((top * 67108864.0 + np.int32(low >> np.uint32(6))) / 9007199254740992.0) - 1.0
