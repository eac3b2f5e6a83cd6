"""Rules of pragmas where they stand: place, variable, limits, ports of the top function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

from workshop.checker.code import MAX_WIDTH, Complaints
from workshop.checker.kernel import Cursor, Kernel, Placed, kind
from workshop.checker.pragmas import ANYWHERE, FUNCTION, TOP

MAX_PARTS = 1024
"""Memories or registers that one pragma may cut an array into."""
_DMA_WIDTHS = tuple(8 << n for n in range(8))


def grammar(kernel: Kernel) -> Complaints:
    """Known directives and options, values within their limits, allowed places."""
    for placed in kernel.pragmas:
        pragma = placed.pragma
        yield from ((placed, problem) for problem in pragma.problems())
        for option, value, least in pragma.numbers():
            if placed.numbers[option] < least:
                yield placed, f"{option} = {value} is {placed.numbers[option]}; it is >= {least}"
        allowed = [FUNCTION if where == TOP else where for where in pragma.where]
        if placed.where not in allowed and not (ANYWHERE in allowed and placed.function):
            remedy = " or ".join(f"{where} body" for where in allowed)
            yield placed, f"{pragma.directive} stands in a wrong place; put it into a {remedy}"
        elif pragma.where == (TOP,) and placed.function is not kernel.top:
            yield placed, f"{pragma.directive} is for the top function; move it there"


def pipelines(kernel: Kernel) -> Complaints:
    """A pipelined loop says its II."""
    for placed in all_of(kernel, "PIPELINE"):
        if "II" not in placed.numbers and "off" not in placed.pragma.flags:
            yield placed, "without II the tool favours its clock; write II = 1"
        if "rewind" in placed.pragma.flags and placed.pragma.options.get("style") == "frp":
            yield placed, "rewind and style = frp exclude each other; take one away"


def dependences(kernel: Kernel) -> Complaints:
    """Only distances that the tool then keeps; never a promise that there is no dependence."""
    for placed in all_of(kernel, "DEPENDENCE"):
        if placed.pragma.options["dependent"] == "false":
            yield placed, "dependent = false is on trust; write dependent = true and a distance"
        if not sizes(placed.named["variable"]):
            yield placed, f"{placed.pragma.options['variable']} is no array; name one"


def partitions(kernel: Kernel) -> Complaints:
    """ARRAY_PARTITION and ARRAY_RESHAPE within the dimensions and limits."""
    for placed in (*all_of(kernel, "ARRAY_PARTITION"), *all_of(kernel, "ARRAY_RESHAPE")):
        name, cut = placed.pragma.options["variable"], placed.pragma.options["type"]
        dims = sizes(placed.named["variable"])
        dim, factor = placed.numbers.get("dim", 1), placed.numbers.get("factor")
        if dim > len(dims):
            yield placed, f"{name} has {len(dims)} dimensions; dim = {dim} must be one of them"
            continue
        if (cut == "complete") != (factor is None):
            yield placed, "cyclic and block need a factor, complete has none; add or drop it"
            continue
        whole = prod(dims) if dim == 0 else dims[dim - 1]
        parts = factor or whole
        if parts > whole:
            yield placed, f"factor = {parts} is above the size {whole} of {name}; lower it"
        if placed.is_a("ARRAY_PARTITION") and parts > MAX_PARTS:
            yield placed, f"{name} falls into {parts} parts of {MAX_PARTS}; reshape it"
        bits = parts * _bits(placed.named["variable"].type)
        if placed.is_a("ARRAY_RESHAPE") and bits > MAX_WIDTH:
            yield placed, f"words of {name} get {bits} of {MAX_WIDTH} bits; use a lower factor"


def storage(kernel: Kernel) -> Complaints:
    """BIND_STORAGE that the memory can be: contents, kind of memory, no ports."""
    for placed in all_of(kernel, "BIND_STORAGE"):
        variable, options = placed.named["variable"], placed.pragma.options
        name, memory, impl = (options.get(key, "") for key in ("variable", "type", "impl"))
        filled = any(token.spelling in ("=", "{") for token in variable.get_tokens())
        if placed.function is kernel.top and kind(variable) == "PARM_DECL":
            yield placed, f"{name} is a port; give its INTERFACE a storage_type"
        if impl.startswith("uram") and (filled or memory.startswith("rom")):
            yield placed, f"UltraRAM has no first contents and {name} has; use impl = bram"
        if memory.startswith("rom") != is_const(variable.type):
            yield placed, f"{memory} does not fit {name}; a rom is const, and nothing else is"
        if (impl in ("srl", "memory")) > (memory == "fifo"):
            yield placed, f"impl = {impl} is for a fifo; take bram, lutram or uram"
        if (memory == "fifo") != _is_stream(variable):
            yield placed, f"{memory} does not fit {name}; a fifo is a stream, and nothing else is"


def streams(kernel: Kernel) -> Complaints:
    """A stream inside has a stated depth, and beats of a port stay at the ports."""
    for placed in all_of(kernel, "STREAM"):
        if not _is_stream(placed.named["variable"]):
            yield placed, f"{placed.pragma.options['variable']} is no stream; name one"
    deep = [placed.named["variable"] for placed in all_of(kernel, "STREAM")]
    for cursor in kernel.of("VAR_DECL"):
        if _is_stream(cursor):
            if cursor not in deep:
                yield cursor, f"{cursor.spelling} would be 2 deep; give it a STREAM with a depth"
            if "ap_axiu<" in cursor.type.get_canonical().spelling:
                yield cursor, f"{cursor.spelling} holds beats of a port; make it a stream of data"


def dataflows(kernel: Kernel) -> Complaints:
    """The canonical form: streams, then calls; one writes a stream and another one reads it."""
    for function in kernel.functions:
        if not any(function.with_pragma("DATAFLOW")):
            continue
        body = list(function.cursor.get_children())[-1]
        calls = [c for c in body.get_children() if kind(c) == "CALL_EXPR"]
        for statement in body.get_children():
            what = kind(statement)
            if what not in ("DECL_STMT", "CALL_EXPR"):
                yield statement, "a dataflow region is streams and calls alone; move it into one"
            elif what == "CALL_EXPR" and statement.type.kind.name != "VOID":
                yield statement, f"{statement.spelling} returns a value; make it void"
        for cursor in (c for s in body.get_children() for c in s.get_children()):
            if kind(cursor) == "VAR_DECL" and _is_stream(cursor):
                users = sum(any(_means(c, cursor) for c in call.walk_preorder()) for call in calls)
                if users != 2:
                    yield cursor, f"{users} processes use {cursor.spelling}; one writes, one reads"


def interfaces(kernel: Kernel) -> Complaints:
    """Each port of the top function has its one INTERFACE, registers their own addresses."""
    top = kernel.top
    ports = [*(p.spelling for p in top.cursor.get_arguments()), "return"]
    placed: dict[str, list[Placed]] = {port: [] for port in ports}
    for one in top.with_pragma("INTERFACE"):
        placed.setdefault(one.pragma.options.get("port", ""), []).append(one)
    for port, ones in placed.items():
        if len(ones) != 1:
            yield top.cursor, f"{port} has {len(ones)} INTERFACE pragmas; write one"
    taken: dict[int, str] = {}
    for parameter in top.cursor.get_arguments():
        for one in placed[parameter.spelling]:
            yield from ((one, text) for text in _port_problems(one, parameter, taken))


def _port_problems(one: Placed, parameter: Cursor, taken: dict[int, str]) -> Iterator[str]:
    name, mode = parameter.spelling, one.pragma.directive.split()[-1]
    if name in ("in", "out"):
        yield f"the tool renames a port {name}; choose another name"
    if mode == "axis":
        found = re.search(r"stream<ap_axiu<(\d+), ", parameter.type.get_canonical().spelling)
        if not found:
            yield f"{name} is no stream of ap_axiu; only that has TLAST"
        elif int(found[1]) not in _DMA_WIDTHS:
            yield f"{name} has {found[1]} bits; a DMA's stream has 8, 16, 32, ... 1024"
    elif mode == "s_axilite":
        if _is_stream(parameter):
            yield f"{name} is a stream; write mode = axis"
        if "offset" not in one.numbers:
            yield f"{name} lacks its address; write offset = ..."
            return
        size = max(8, 4 * prod(sizes(parameter)))  # a register is followed by its valid bit
        offset = one.numbers["offset"]
        if offset % (size if sizes(parameter) else 4):
            yield f"{name} of {size} bytes cannot begin at {offset:#x}; align it to its size"
        for other in sorted({taken[at] for at in range(offset, offset + size) if at in taken}):
            yield f"{name} overlaps with {other} at {offset:#x}; move it"
        taken.update(dict.fromkeys(range(offset, offset + size), name))
    else:
        yield f"{mode} is for port = return; write axis or s_axilite"


def all_of(kernel: Kernel, directive: str) -> list[Placed]:
    """Pragmas of a directive with which nothing else is wrong."""
    those = (placed for placed in kernel.pragmas if placed.is_a(directive))
    return [p for p in those if not any(p.pragma.problems()) and all(p.named.values())]


def _means(name: Cursor, variable: Cursor) -> bool:
    return kind(name) == "DECL_REF_EXPR" and name.referenced == variable


def _is_stream(variable: Cursor | None) -> bool:
    return variable is not None and "hls::stream<" in variable.type.get_canonical().spelling


def is_const(what: Any) -> bool:
    """Whether it, or an array's elements, are const."""
    what = what.get_canonical()
    inner = what.kind.name.endswith("ARRAY") and is_const(what.element_type)
    return bool(inner or what.is_const_qualified())


def sizes(variable: Cursor | None) -> list[int]:
    """Sizes of an array's dimensions, the outermost first; none if it is no array."""
    found: list[int] = []
    what = variable.type.get_canonical() if variable is not None else None
    while what is not None and "REFERENCE" in what.kind.name:
        what = what.get_pointee().get_canonical()
    while what is not None and what.kind.name == "CONSTANTARRAY":
        found.append(what.element_count)
        what = what.element_type.get_canonical()
    return found


def _bits(what: Any) -> int:
    """Bits of an element of an array of integers or structs."""
    what = what.get_canonical()
    if what.kind.name.endswith("ARRAY"):
        return _bits(what.element_type)
    if found := re.fullmatch(r"(?:const )?ap_u?int<(\d+)>", what.spelling):
        return int(found[1])
    members = list(what.get_fields()) if what.kind.name == "RECORD" else []
    return sum(_bits(f.type) * prod(sizes(f)) for f in members) or 8 * int(what.get_size())


RULES: dict[str, Callable[[Kernel], Complaints]] = {
    "pragma": grammar,
    "pipeline": pipelines,
    "dependence": dependences,
    "partition": partitions,
    "storage": storage,
    "stream": streams,
    "dataflow": dataflows,
    "interface": interfaces,
}
