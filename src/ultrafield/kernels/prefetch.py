"""A hint to the processor that a row of an array is needed soon, so that waiting for memory overlaps."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core.cgutils import get_item_pointer
from numba.extending import intrinsic

_FOR_READING, _KEEP_IN_ALL_CACHES, _DATA = 0, 3, 1  # operands of llvm.prefetch


def _prefetch_row(typing_context: Any, array: Any, row: Any) -> Any:
    """Ask for the memory line at array[row], or array[row, 0] of two axes; changes nothing that a program can see."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type, row_type = signature.args
        structure = context.make_array(array_type)(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], row_type, types.intp)
        zero = context.get_constant(types.intp, 0)
        place = [index, *[zero] * (array_type.ndim - 1)]
        item = get_item_pointer(context, builder, array_type, structure, place, wraparound=False)
        address = builder.bitcast(item, ir.IntType(8).as_pointer())
        hint = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, hint, hint, hint])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(function, [address, *(hint(value) for value in (_FOR_READING, _KEEP_IN_ALL_CACHES, _DATA))])
        return context.get_dummy_value()

    return types.void(array, row), generate


def _nothing(array: Any, row: Any) -> None:
    """Stand for the hint where code is not compiled."""


prefetch_row = _nothing if config.DISABLE_JIT else intrinsic(_prefetch_row)
