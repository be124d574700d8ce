"""Defines a logarithm and an exponential that the compiler can vectorise.

A call of the C library's `log` or `exp` for each value would require most of the ear model's
computing time. Therefore, the functions of this module use polynomials and bit operations. The
functions are inlined into loops that are compiled with `error_model="numpy"`. The logarithm is that
of FreeBSD's libm (e_log.c, Sun Microsystems 1993).
"""

import numpy as np
from numba import njit

# These are two numbers whose sum is log(2). Products of the first number with small integers are
# exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10


@njit(inline="always", error_model="numpy")
def fast_log(x: float) -> float:
    """Return the natural logarithm of a positive normal number.

    The error is at most one unit in the last place.

    For any other input, including NaN, the result is meaningless.
    """
    # x = 2^exponent * (1 + f) with 1 + f between sqrt(1/2) and sqrt(2). Then log(1 + f) is a series
    # in s = f / (2 + f). Its even and odd terms are summed separately, because the processor can
    # compute both sums at the same time.
    root_half = np.uint64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2)
    one_less_root_half = np.uint64(0x00095F619980C433)  # the bits of 1, minus root_half
    mantissa = np.uint64(0x000FFFFFFFFFFFFF)
    two_52 = np.uint64(0x4330000000000000)  # the bits of 2^52
    bits = np.float64(x).view(np.uint64) + one_less_root_half
    exponent = np.uint64((bits >> np.uint64(52)) | two_52).view(np.float64) - 4503599627371519.0
    f = np.uint64((bits & mantissa) + root_half).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (
        3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01)
    )
    odd = z * (
        6.666666666666735130e-01
        + w
        * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860510658591e-01))
    )
    half = 0.5 * f * f
    return exponent * _LN2_HIGH - ((half - (s * (half + even + odd) + exponent * _LN2_LOW)) - f)


@njit(inline="always", error_model="numpy")
def fast_exp(x: float) -> float:
    """Return e to the power x for |x| < 700, with a relative error of 1e-15.

    The argument x is power * log(2) + r with |r| <= log(2) / 2. The result is 2^power times a
    Taylor series in r.
    """
    # After the addition of 1.5 * 2^52, the low bits of the sum are the nearest integer.
    rounder = 6755399441055744.0
    shifted = x * 1.4426950408889634 + rounder
    power = shifted - rounder
    r = (x - power * _LN2_HIGH) - power * _LN2_LOW
    series = 1 / 39916800 + r * (1 / 479001600)
    series = 1 / 362880 + r * (1 / 3628800 + r * series)
    series = 1 / 5040 + r * (1 / 40320 + r * series)
    series = 1 / 120 + r * (1 / 720 + r * series)
    series = 1 / 6 + r * (1 / 24 + r * series)
    series = 1.0 + r * (1.0 + r * (0.5 + r * series))
    scale = (np.float64(shifted).view(np.uint64) + np.uint64(1023)) << np.uint64(52)
    return series * np.uint64(scale).view(np.float64)
