"""Triton's interpreter without work that comes to nothing.

Most of the time that a kernel takes in the interpreter goes into bookkeeping: the functions of `triton.language` are
replaced anew whenever a kernel calls another function, types are built anew for every value, values of one type and
shape are brought to a common type and shape, sums are checked for an overflow that nobody is told of, and scans walk
through Python one element at a time. What kernels compute stays the same, bit for bit; only a scan may add in another
order, as it does on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

# Types that stay what they are in every operation on two values of them; halves are divided as floats.
KEPT = frozenset(("int1", "fp32", "fp64", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))))
REPLACED: list[tuple[Any, str, Any]] = []  # what `make_quick` has replaced: object, attribute, what it was


def make_quick() -> None:
    """Replace parts of Triton's interpreter by quicker ones."""
    from triton.language import core
    from triton.language.semantic import TritonSemantic
    from triton.runtime import interpreter

    options = interpreter.interpreter_builder.options
    if not options.debug:  # only then is an overflow an error
        _replace(interpreter.interpreter_builder, "options", replace(options, sanitize_overflow=False))
    _replace(interpreter, "_patch_lang", _once_per_launch(interpreter, core))
    _replace(interpreter, "_get_np_dtype", _types_by_name(interpreter._get_np_dtype, core))
    _replace(interpreter.ScanOps, "generic_scan", _scan_by_doubling)
    _replace(core.tensor, "__init__", _tensor_of_known_shape(core.tensor.__init__, core.tensor))
    _replace(core.block_type, "__init__", _block_of_known_shape(core.block_type.__init__, core.block_type))
    _replace(TritonSemantic, "broadcast_impl_value", _of_one_shape(TritonSemantic.broadcast_impl_value))
    checked = _of_one_type(TritonSemantic.binary_op_type_checking_impl, core.tensor)
    _replace(TritonSemantic, "binary_op_type_checking_impl", checked)


def _replace(target: Any, name: str, value: Any) -> None:
    REPLACED.append((target, name, getattr(target, name)))
    setattr(target, name, value)


def _once_per_launch(interpreter: Any, core: Any) -> Callable[[Any], Any]:
    """`_patch_lang` that leaves alone what a kernel, or a function that it called, has already had replaced."""
    patch, language = interpreter._patch_lang, interpreter.tl
    modules_of: dict[int, frozenset[int]] = {}  # by the address of a function's globals, which stay
    done: set[frozenset[int]] = set()

    class WholeLaunch(interpreter._LangPatchScope):
        """The first scope of a launch, and the only one that Triton restores."""

        def restore(self) -> None:
            done.clear()
            super().restore()

    def patch_lang(function: Any) -> Any:
        names = function.__globals__
        modules = modules_of.get(id(names))
        if modules is None:
            modules = frozenset(id(value) for value in names.values() if value is language or value is core)
            modules_of[id(names)] = modules
        if modules in done:
            return interpreter._LangPatchScope()
        scope = patch(function)
        if not done:
            scope.__class__ = WholeLaunch
        done.add(modules)
        return scope

    return patch_lang


def _types_by_name(numpy_type: Callable[[Any], Any], core: Any) -> Callable[[Any], Any]:
    """`_get_np_dtype` that looks each type up once."""
    known: dict[str, Any] = {}

    def get(kind: Any) -> Any:
        element = kind.element_ty if isinstance(kind, core.block_type) else kind
        found = known.get(element.name)
        if found is None:
            found = known[element.name] = numpy_type(element)
        return found

    return get


def _scan_by_doubling(scan: Any, inputs: tuple[Any, ...]) -> list[Any]:
    """`generic_scan` that joins whole arrays with what lies 1, 2, 4, … elements in front of them."""
    kinds, values = [value.dtype for value in inputs], [value.handle.data for value in inputs]
    size = values[0].shape[scan.axis]
    place = np.moveaxis(np.arange(size).reshape(-1, *[1] * (values[0].ndim - 1)), 0, scan.axis)
    shift = 1
    while shift < size:
        both = [[np.roll(value, shift, scan.axis) for value in values], values]
        joined = scan.combine_fn.fn(*(scan.to_tensor(*pair) for part in both for pair in zip(part, kinds, strict=True)))
        results = joined if isinstance(joined, tuple) else (joined,)
        values = [np.where(place >= shift, new.handle.data, old) for new, old in zip(results, values, strict=True)]
        shift *= 2
    return [scan.to_tensor(value, kind) for value, kind in zip(values, kinds, strict=True)]


def _tensor_of_known_shape(build: Callable[..., None], tensor: type[Any]) -> Callable[..., None]:
    """`tensor.__init__` that wraps the sizes of each shape once."""
    known: dict[tuple[int, ...], Any] = {}

    def initialise(self: Any, handle: Any, type: Any) -> None:
        shape = tuple(type.shape) if type.is_block() else ()
        example = known.get(shape)
        if example is None:
            example = known[shape] = tensor.__new__(tensor)
            build(example, None, type)
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.shape, self.numel = example.shape, example.numel

    return initialise


def _block_of_known_shape(build: Callable[..., None], block: type[Any]) -> Callable[..., None]:
    """`block_type.__init__` that checks each shape once."""
    known: dict[tuple[Any, ...], Any] = {}

    def initialise(self: Any, element_ty: Any, shape: Any) -> None:
        key = (element_ty.name, *shape)
        example = known.get(key)
        if example is None:
            example = block.__new__(block)
            build(example, element_ty, shape)
            known[key] = example
        self.element_ty = element_ty
        self.shape, self.numel, self.name = example.shape, example.numel, example.name

    return initialise


def _of_one_shape(broadcast: Callable[..., Any]) -> Callable[..., Any]:
    """`broadcast_impl_value` that leaves values of the same shape alone (they share it: `_tensor_of_known_shape`)."""

    def broadcast_both(self: Any, lhs: Any, rhs: Any) -> Any:
        return (lhs, rhs) if lhs.shape is rhs.shape else broadcast(self, lhs, rhs)

    return broadcast_both


def _of_one_type(check: Callable[..., Any], tensor: type[Any]) -> Callable[..., Any]:
    """`binary_op_type_checking_impl` that looks for no common type of values of the same type."""

    def checked(self: Any, lhs: Any, rhs: Any, *flags: bool, **more: bool) -> Any:
        if type(lhs) is tensor and type(rhs) is tensor and lhs.dtype.name == rhs.dtype.name in KEPT:
            return self.broadcast_impl_value(lhs, rhs)
        return check(self, lhs, rhs, *flags, **more)

    return checked
