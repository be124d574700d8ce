"""Four auditory bands in one vector register, for compiled loops.

Each output of a recursive filter is needed for the next output, so the compiler cannot compute
several samples at the same time. Several bands can be computed at the same time, but numba's
compiler does not find this out. So this module defines the type `Lanes`, a vector of four doubles
with the operators + - *. Each element is rounded as in a loop over the bands. If a processor has
only smaller registers, the compiler divides the vector.
"""

# ruff: noqa: ARG001 (numba defines the arguments of an intrinsic)

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, models, overload, register_model

LANES = 4
"""Number of bands in a register."""

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class LanesType(types.Type):
    """numba's type of four doubles in a register."""

    def __init__(self) -> None:
        super().__init__("Lanes")


_LANES = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: LanesType) -> None:
        super().__init__(manager, lanes, _VECTOR)


def _intrinsic(function: Any) -> Any:
    """Define a function by instructions of LLVM; numba, not its type hints, checks its calls."""
    return intrinsic(function)


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Return the pointer to the vector that starts at an index of an array."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), _VECTOR.as_pointer())


# In the functions below, the first argument is numba's typing context. Elements of an array are
# aligned to 8 bytes.


@_intrinsic
def load(_: Any, array: Any, index: Any) -> Any:
    """Load array[index : index + LANES], without a test of the bounds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, arguments), align=8)

    return _LANES(array, types.intp), generate


@_intrinsic
def store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """Store a vector into array[index : index + LANES], without a test of the bounds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments)
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@_intrinsic
def spread(_: Any, value: Any) -> Any:
    """Copy a number into all elements of a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(LANES):
            vector = builder.insert_element(vector, arguments[0], ir.IntType(32)(lane))
        return vector

    return _LANES(types.float64), generate


@_intrinsic
def square_root(_: Any, value: Any) -> Any:
    """Compute the square root of each element of a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        type_ = ir.FunctionType(_VECTOR, [_VECTOR])
        function = get_or_insert_function(builder.module, type_, f"llvm.sqrt.v{LANES}f64")
        return builder.call(function, arguments)

    return _LANES(value), generate


def _define(symbol: Any, instruction: str) -> None:
    """Define an operator of two vectors by an instruction of LLVM."""

    @_intrinsic
    def apply(_: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return _LANES(left, right), generate

    @overload(symbol)
    def operate(left: Any, right: Any) -> Any:
        # numba requires the annotations of `operate`.
        def implementation(left: Any, right: Any) -> Any:
            return apply(left, right)

        both = isinstance(left, LanesType) and isinstance(right, LanesType)
        return implementation if both else None


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
