"""Draws the same normal deviates as NumPy's global generator, but several times faster.

HAAQI adds noise to the 32 bands of both signals. To reproduce a score, the deviates must be the
same as in the original program. Therefore, this module contains its own version of NumPy's
generator: the Mersenne Twister (Matsumoto and Nishimura 1998), and the polar method of Marsaglia,
which is `legacy_gauss` in NumPy. Random words are computed in blocks of 624 words.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.hearing.haaqi.filterbank import Array
from cmss.hearing.haaqi.vector_math import fast_log
from cmss.machine.compiled import compiled

Words = NDArray[np.uint32]

_WORDS = 624
"""Number of words in the state of the Mersenne Twister."""


class NormalDeviates:
    """Draws the standard normal deviates that `np.random.standard_normal` would draw.

    This class uses a copy of the state of NumPy's global generator. NumPy's generator changes only
    when `store` is called.

    Raises:
        InputError: NumPy's global generator is not the default generator, a Mersenne Twister.
    """

    def __init__(self) -> None:
        state: dict[str, Any] = np.random.get_state(legacy=False)
        name = state["bit_generator"]
        if name != "MT19937":
            raise InputError(f"HAAQI: NumPy's global generator must be MT19937, got {name}")
        self._key: Words = state["state"]["key"].copy()
        self._rest = int(state["state"]["pos"]), bool(state["has_gauss"]), float(state["gauss"])

    def fill(self, output: Array) -> None:
        """Fill `output` (samples,) with deviates."""
        self._rest = _draw(self._key, *self._rest, output.size, output)

    def skip(self, count: int) -> None:
        """Draw and discard `count` deviates."""
        self._rest = _draw(self._key, *self._rest, count, np.empty(0))

    def store(self) -> None:
        """Set NumPy's global generator to the state after all draws."""
        position, has_spare, spare = self._rest
        np.random.set_state(("MT19937", self._key, position, int(has_spare), spare))


@compiled()
def _next_block(key: Words) -> None:
    """Replace the key in place by the next 624 untempered words of the generator."""
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
    """Compute the output words of the generator from a key, and write them into `words` (624,)."""
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
    """Draw `count` deviates into `output`, or discard the deviates if `output` is empty.

    The deviates are drawn in pairs, and `key` is advanced in place.

    Returns:
        The position of the next unused word in `key`, whether a deviate of the last pair is unused,
        and the unused deviate.
    """
    keep = output.size > 0
    done = 0
    if has_spare and count:
        if keep:
            output[0] = spare
        done, has_spare, spare = 1, False, 0.0
    # A candidate pair requires four words. At the end of a block, up to three remaining words are
    # copied in front of the next block.
    words = np.empty(3 + _WORDS, np.uint32)
    carried = 0
    _temper(key, words[3:])
    x, y, square = np.empty(157), np.empty(157), np.empty(157)  # _WORDS // 4 + 1 pairs
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
            complete = min(accepted, (count - done) // 2)
            pair = output[done : done + 2 * complete]
            for i in range(complete):
                scale = np.sqrt(-2.0 * fast_log(square[i]) / square[i])
                pair[2 * i] = scale * y[i]
                pair[2 * i + 1] = scale * x[i]
        done += 2 * accepted
        # If the count is odd, a deviate of the last pair is kept for later. NumPy's generator
        # continues with this deviate. Therefore, the deviate is computed with NumPy's logarithm, so
        # that it is equal to the last bit.
        if done > count:
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
    """Return a random double between -1 and 1 with 53 bits from two words, exactly like NumPy."""
    top = np.float64(np.int32(high >> np.uint32(5)))
    return 2.0 * ((top * 67108864.0 + np.int32(low >> np.uint32(6))) / 9007199254740992.0) - 1.0
