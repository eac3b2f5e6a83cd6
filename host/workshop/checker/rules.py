"""The rules of the kernel checker; hls/README.md has a line for each.

What a pipelined loop does with a memory is followed into the functions that it calls, in the order
of the code. Loops inside are unrolled over parts of the memory, so that an access counts once,
wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import Any

from workshop.checker.kernel import Block, Kernel, is_constexpr
from workshop.checker.pragmas import Pragma
from workshop.libclang import Cursor, kind

Complaints = Iterator[tuple["Cursor | Pragma", str]]

WORDS = {
    "allocation": (
        "new delete malloc calloc realloc free alloca",
        "there is no heap; use an array",
    ),
    "goto": ("goto", "it has no loop's schedule; write a loop or an if"),
    "exception": ("throw try catch", "nothing catches in hardware; return a status"),
    "virtual": ("virtual dynamic_cast typeid", "no type is known at run time; use a template"),
    "float": ("float double", "floating point becomes vendor cores; use integers of stated widths"),
}
"""By rule, words that no hardware comes of, and why."""
_DECLARATIONS = ("VAR_DECL", "PARM_DECL", "FIELD_DECL", "TYPEDEF_DECL", "TYPE_ALIAS_DECL")
_TYPES = (
    (r"\([*&]+\)\(", "points to a function; call it by name"),
    (r"\*(const )?\*", "points to a pointer; pass an array"),
    (r"\[\]", "has no constant size; write it between the brackets"),
)
MAX_WIDTH = 4096
"""Most bits of an ap_int, of a stream's beat and of a memory's word."""
MAX_PARTS = 1024
"""Memories or registers that one pragma may cut an array into."""
_DMA_WIDTHS = tuple(8 << n for n in range(8))
_SAID = (  # by Clang: (form of its text, rule, remedy)
    ("ambiguous|incompatible operand", "choice", "give both sides of a choice one type and width"),
    ("file not found|namespace 'std'", "library", "guard it with #ifndef __SYNTHESIS__"),
    ("", "c++14", "the kernel is plain C++14"),
)


def refused(kernel: Kernel) -> Iterator[tuple[tuple[str, int], str, str]]:
    """Yield place, rule and text of what Clang refuses."""
    banned = {word: rule for rule, (words, _) in WORDS.items() for word in words.split()}
    for place, why, source in kernel.errors():
        pragma, word = kernel.pragma_at(place), re.match(r"\w*", source)
        if "poisoned" in why and word:
            rule = banned[word[0]]
            yield place, rule, f"'{word[0]}' is not for synthesis: {WORDS[rule][1]}"
        elif pragma:
            yield place, "scope", f"{why}; '{pragma.text}' must name what is declared above it"
        else:
            rule, remedy = next(
                (rule, remedy) for form, rule, remedy in _SAID if re.search(form, why)
            )
            yield place, rule, f"{why}; {remedy}"


# Code


def float_(kernel: Kernel) -> Complaints:
    """No floating point, of which words alone do not tell."""
    for cursor in kernel.of("FLOATING_LITERAL"):
        yield cursor, WORDS["float"][1]


def pointer(kernel: Kernel) -> Complaints:
    """No pointers to functions or to pointers, no arrays of an unknown size."""
    for cursor in kernel.of(*_DECLARATIONS):
        for form, why in _TYPES:
            if re.search(form, cursor.type.spelling):
                yield cursor, f"{cursor.spelling} {why}"


def width(kernel: Kernel) -> Complaints:
    """No integer is wider than ap_int can be."""
    for cursor in kernel.of(*_DECLARATIONS):
        for bits in re.findall(r"\bNumber<(\d+), ", cursor.type.get_canonical().spelling):
            if int(bits) > min(kernel.widest, MAX_WIDTH):
                remedy = f"define AP_INT_MAX_W, at most {MAX_WIDTH}, before ap_int.h, or narrow it"
                yield cursor, f"{cursor.spelling} has {bits} of {kernel.widest} bits; {remedy}"
            elif int(bits) == 0:
                yield cursor, f"{cursor.spelling} has no bits; an ap_int has one at least"


def recursion(kernel: Kernel) -> Complaints:
    """No function calls itself, through others neither."""
    for function in kernel.functions:
        called = kernel.called(call for call, _ in kernel.calls[function])
        if function in called and not is_constexpr(function.cursor):
            yield function.cursor, f"{function.cursor.spelling} calls itself; hardware loops"


def label(kernel: Kernel) -> Complaints:
    """Every loop has a label, by which reports know it."""
    for loop in kernel.loops:
        function = loop.function.cursor
        if not loop.label and not is_constexpr(function):
            yield loop.cursor, f"a loop of {function.spelling} has no label; write Name: before it"


def unroll(kernel: Kernel) -> Complaints:
    """Loops inside a pipeline are unrolled whole: their bounds are constant."""
    for loop in kernel.loops:
        _, *around = loop.around()
        if loop.function in kernel.in_pipelines or any(outer.pipelined for outer in around):
            if loop.pipelined:
                yield loop.cursor, "it is unrolled by the pipeline around it; take one away"
            if not _is_constant(loop):
                yield loop.cursor, "a pipeline unrolls it; count an int up to a constant bound"


def _is_constant(loop: Block) -> bool:
    """Whether its rounds can be counted at compile time."""
    head = list(loop.cursor.get_children())[:-1]
    if kind(loop.cursor) != "FOR_STMT" or len(head) != 3 or kind(head[0]) != "DECL_STMT":
        return False
    counters = []  # its own; a bound may be that of another such loop around it
    for one in loop.around():
        if kind(one.cursor) == "FOR_STMT" and not one.pipelined:
            counters += list(next(one.cursor.get_children()).get_children())
    names = [c for part in head for c in part.walk_preorder()]
    return not any(
        kind(c) == "MEMBER_REF_EXPR"
        or (kind(c) == "DECL_REF_EXPR" and not _is_fixed(c.referenced, counters))
        for c in names
    )


def _is_fixed(what: Cursor, counters: list[Cursor]) -> bool:
    fixed = ("ENUM_CONSTANT_DECL", "TEMPLATE_NON_TYPE_PARAMETER")
    return what in counters or kind(what) in fixed or is_constexpr(what)


# Pragmas where they stand


def pragma(kernel: Kernel) -> Complaints:
    """Known directives and options, values within their limits, allowed places."""
    for one in kernel.pragmas:
        where, known = one.known.where, one.known.options
        yield from ((one, problem) for problem in one.problems())
        for option, value in one.numbers.items():
            if value < known[option]:  # type: ignore[operator]
                yield one, f"{option} = {value} is too little; it is >= {known[option]}"
        body = "function" if where == "top" else where
        if not one.block or body not in ("anywhere", one.where):
            yield one, f"{one.directive} stands in a wrong place; put it into a {body} body"
        elif where == "top" and one.block is not kernel.top:
            yield one, f"{one.directive} is for the top function; move it there"


def _each(kernel: Kernel, *directives: str) -> Iterator[tuple[Pragma, str, Cursor]]:
    """Yield pragmas with which nothing else is wrong, and name and declaration of the variable."""
    for one in kernel.pragmas:
        if one.directive in directives and not any(one.problems()) and all(one.names.values()):
            yield one, one.options.get("variable", ""), one.names.get("variable")


def pipeline(kernel: Kernel) -> Complaints:
    """A pipelined loop says its II."""
    for one, _, _ in _each(kernel, "PIPELINE"):
        if "II" not in one.numbers:
            yield one, "without II the tool favours its clock; write II = 1"
        if "rewind" in one.flags and one.options.get("style") == "frp":
            yield one, "rewind and style = frp exclude each other; take one away"


def dependence(kernel: Kernel) -> Complaints:
    """Only distances that the tool then keeps; never a promise that there is no dependence."""
    for one, name, variable in _each(kernel, "DEPENDENCE"):
        if one.options["dependent"] == "false":
            yield one, "dependent = false is on trust; write dependent = true and a distance"
        if not _sizes(variable):
            yield one, f"{name} is no array; name one"


def partition(kernel: Kernel) -> Complaints:
    """ARRAY_PARTITION and ARRAY_RESHAPE within the dimensions and limits."""
    for one, name, variable in _each(kernel, "ARRAY_PARTITION", "ARRAY_RESHAPE"):
        sizes, dim, factor = _sizes(variable), one.numbers.get("dim", 1), one.numbers.get("factor")
        if dim > len(sizes):
            yield one, f"{name} has {len(sizes)} dimensions; dim = {dim} must be one of them"
            continue
        if (one.options["type"] == "complete") != (factor is None):
            yield one, "cyclic and block need a factor, complete has none; add or drop it"
            continue
        whole = prod(sizes) if dim == 0 else sizes[dim - 1]
        parts = factor or whole
        bits = parts * _bits(variable.type)
        if parts > whole:
            yield one, f"factor = {parts} is above the size {whole} of {name}; lower it"
        if one.directive == "ARRAY_PARTITION" and parts > MAX_PARTS:
            yield one, f"{name} falls into {parts} parts of {MAX_PARTS}; reshape it"
        if one.directive == "ARRAY_RESHAPE" and bits > MAX_WIDTH:
            yield one, f"words of {name} get {bits} of {MAX_WIDTH} bits; use a lower factor"


def storage(kernel: Kernel) -> Complaints:
    """BIND_STORAGE that the memory can be: contents, kind of memory, no ports."""
    for one, name, variable in _each(kernel, "BIND_STORAGE"):
        memory, impl = one.options["type"], one.options.get("impl", "")
        filled = any(token.spelling in ("=", "{") for token in variable.get_tokens())
        if one.block is kernel.top and kind(variable) == "PARM_DECL":
            yield one, f"{name} is a port; give its INTERFACE a storage_type"
        if impl == "uram" and (filled or memory.startswith("rom")):
            yield one, f"UltraRAM has no first contents and {name} has; use impl = bram"
        if memory.startswith("rom") != _is_const(variable.type):
            yield one, f"{memory} does not fit {name}; a rom is const, and nothing else is"
        if (impl in ("srl", "memory")) > (memory == "fifo"):
            yield one, f"impl = {impl} is for a fifo; take bram, lutram or uram"
        if (memory == "fifo") != _is_stream(variable):
            yield one, f"{memory} does not fit {name}; a fifo is a stream, and nothing else is"


def stream(kernel: Kernel) -> Complaints:
    """A stream inside has a stated depth, and beats of a port stay at the ports."""
    deep = []
    for one, name, variable in _each(kernel, "STREAM"):
        deep.append(variable)
        if not _is_stream(variable):
            yield one, f"{name} is no stream; name one"
    for cursor in filter(_is_stream, kernel.of("VAR_DECL")):
        if cursor not in deep:
            yield cursor, f"{cursor.spelling} would be 2 deep; give it a STREAM with a depth"
        if "ap_axiu<" in cursor.type.get_canonical().spelling:
            yield cursor, f"{cursor.spelling} holds beats of a port; make it a stream of data"


def dataflow(kernel: Kernel) -> Complaints:
    """The canonical form: streams, then calls; one writes a stream and another one reads it."""
    for one, _, _ in _each(kernel, "DATAFLOW"):
        body = list(list(one.block.cursor.get_children())[-1].get_children())
        calls = [c for c in body if kind(c) == "CALL_EXPR"]
        for statement in body:
            if kind(statement) not in ("DECL_STMT", "CALL_EXPR"):
                yield statement, "a dataflow region is streams and calls alone; move it into one"
        for call in calls:
            if call.type.kind.name != "VOID":
                yield call, f"{call.spelling} returns a value; make it void"
        for cursor in (c for statement in body for c in statement.get_children()):
            if kind(cursor) == "VAR_DECL" and _is_stream(cursor):
                users = sum(any(c.referenced == cursor for c in x.walk_preorder()) for x in calls)
                if users != 2:
                    yield cursor, f"{users} processes use {cursor.spelling}; one writes, one reads"


def interface(kernel: Kernel) -> Complaints:
    """Each port of the top function has its one INTERFACE, of the kind that it can be."""
    top = kernel.top
    ports = {"return": None, **{p.spelling: p for p in top.cursor.get_arguments()}}
    placed = [one for one in top.pragmas if one.directive.startswith("INTERFACE ")]
    for name, port in ports.items():
        ones = [one for one in placed if one.options.get("port") == name]
        if len(ones) != 1:
            yield top.cursor, f"{name} has {len(ones)} INTERFACE pragmas; write one"
        if name in ("in", "out"):
            yield top.cursor, f"the tool renames a port {name}; choose another name"
        for one in ones if port else ():
            beats = re.search(r"stream<ap_axiu<(\d+), ", port.type.get_canonical().spelling)
            if one.directive != "INTERFACE axis":
                if _is_stream(port):
                    yield one, f"{name} is a stream; write mode = axis"
            elif not beats:
                yield one, f"{name} is no stream of ap_axiu; only that has TLAST"
            elif int(beats[1]) not in _DMA_WIDTHS:
                yield one, f"{name} has {beats[1]} bits; a DMA's stream has 8, 16, 32, ... 1024"


# Memories


def port(kernel: Kernel) -> Complaints:
    """One place of a pipelined loop reads a memory, one behind it writes it: a port for each."""
    for one, name, memory in _each(kernel, "BIND_STORAGE"):
        if not (one.options["type"].startswith("ram") and _sizes(memory)):
            continue
        for loop in (loop for loop in kernel.loops if loop.pipelined):
            seen: set[bool] = set()  # whether places before were written
            for cursor, writes in _uses(kernel, loop.cursor, memory):
                does = "writes" if writes else "reads"
                if writes in seen:
                    remedy = "choose the address before it, so that there is one"
                    why = f"a second place of {loop.label} {does} {name}, which has a port"
                    yield cursor, f"{why}; {remedy}"
                if True in seen and not writes:
                    why = f"{loop.label} reads {name} after it has written it"
                    yield cursor, f"{why}, and would wait for it; read it before"
                seen.add(writes)


def _uses(
    kernel: Kernel, cursor: Cursor, memory: Cursor, writes: bool = False
) -> Iterator[tuple[Cursor, bool]]:
    """Yield where a statement touches a memory, as it runs, and whether that writes it."""
    what, parts = kind(cursor), list(cursor.get_children())
    if what == "ENUM_DECL":
        return  # a pragma, which names a memory and does not touch it
    if what == "DECL_REF_EXPR":
        if _base(cursor) == memory.hash:
            yield cursor, writes
    elif what == "ARRAY_SUBSCRIPT_EXPR":
        yield from _uses(kernel, parts[1], memory)
        yield from _uses(kernel, parts[0], memory, writes)
    elif assigned := _assigned(cursor, parts):
        to, value, reads = assigned
        yield from _uses(kernel, value, memory)
        yield from _uses(kernel, to, memory) if reads else ()
        yield from _uses(kernel, to, memory, True)
    elif what == "CALL_EXPR" and (callees := kernel.callees(cursor)):
        *heads, body = callees[0].cursor.get_children()
        named = [head for head in heads if kind(head) == "PARM_DECL"]
        for argument, parameter in zip(cursor.get_arguments(), named):
            passed = re.search(r"REFERENCE|ARRAY|POINTER", parameter.type.kind.name)
            if passed and _base(argument) == memory.hash:
                yield from _uses(kernel, body, parameter)
            else:
                yield from _uses(kernel, argument, memory)
    else:
        passes = what in ("UNEXPOSED_EXPR", "PAREN_EXPR", "CONDITIONAL_OPERATOR")
        for part in parts:
            yield from _uses(kernel, part, memory, writes and passes)


def _assigned(cursor: Cursor, parts: list[Cursor]) -> tuple[Cursor, Cursor, bool] | None:
    """What an assignment writes, its value, and whether it reads first what it writes."""
    what = kind(cursor)
    if what == "CALL_EXPR" and re.fullmatch(r"operator[^=!<>]*=", cursor.spelling):
        to, value = cursor.get_arguments()
        return to, value, cursor.spelling != "operator="
    if what == "COMPOUND_ASSIGNMENT_OPERATOR":
        return parts[0], parts[1], True
    if what == "BINARY_OPERATOR":
        end = parts[0].extent.end.offset
        tokens = (t.spelling for t in cursor.get_tokens() if t.extent.start.offset >= end)
        return (parts[0], parts[1], False) if next(tokens, "") == "=" else None
    return None


def _base(cursor: Cursor) -> int:
    """Hash of the declaration of the array that an expression indexes, or 0."""
    while kind(cursor) in ("UNEXPOSED_EXPR", "PAREN_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
        cursor = next(cursor.get_children(), cursor.translation_unit.cursor)
    named = kind(cursor) == "DECL_REF_EXPR" and cursor.referenced is not None
    return int(cursor.referenced.hash) if named else 0


def register(kernel: Kernel) -> Complaints:
    """What a pipeline carries on is local; arrays that it works with are cut into registers."""
    kept = {v.hash for _, _, v in _each(kernel, "BIND_STORAGE")}
    cut = {v.hash for _, _, v in _each(kernel, "ARRAY_PARTITION")}
    for function in kernel.functions:
        pipelined = any(loop.pipelined for loop in kernel.loops if loop.function is function)
        if (not pipelined and function not in kernel.in_pipelines) or is_constexpr(function.cursor):
            continue
        for cursor in function.cursor.walk_preorder():
            if kind(cursor) != "VAR_DECL" or cursor.hash in kept or _is_const(cursor.type):
                continue
            static = cursor.storage_class.name == "STATIC"
            if static and _sizes(cursor)[:1] != [1]:  # else this config has nothing in it
                why = "loaded and stored in every slot; make it local, or bind it to a memory"
                yield cursor, f"{cursor.spelling} is static, so {why}"
            elif not static and _sizes(cursor) and cursor.hash not in cut:
                yield cursor, f"{cursor.spelling} may become a memory; partition it completely"
    for cursor in kernel.of("FIELD_DECL"):  # of an object, whose constructor says so
        if _sizes(cursor) and cursor.spelling.endswith("_") and cursor.hash not in cut:
            yield cursor, f"{cursor.spelling} may become a memory; partition it completely"
    for cursor in kernel.of("VAR_DECL"):
        outside = kind(cursor.semantic_parent) in ("NAMESPACE", "TRANSLATION_UNIT")
        if outside and not _is_const(cursor.type):
            yield cursor, f"{cursor.spelling} is global, so kept in a memory; make it local"


def _is_stream(variable: Cursor) -> bool:
    return "hls::stream<" in variable.type.get_canonical().spelling


def _is_const(what: Any) -> bool:
    """Whether it, or an array's elements, are const."""
    what = what.get_canonical()
    inner = what.kind.name.endswith("ARRAY") and _is_const(what.element_type)
    return bool(inner or what.is_const_qualified())


def _sizes(variable: Cursor) -> list[int]:
    """Sizes of an array's dimensions, the outermost first; none if it is no array."""
    found: list[int] = []
    what = variable.type.get_canonical()
    while "REFERENCE" in what.kind.name:
        what = what.get_pointee().get_canonical()
    while what.kind.name == "CONSTANTARRAY":
        found.append(what.element_count)
        what = what.element_type.get_canonical()
    return found


def _bits(what: Any) -> int:
    """Bits of an element of an array of integers or structs."""
    what = what.get_canonical()
    if what.kind.name.endswith("ARRAY"):
        return _bits(what.element_type)
    if found := re.fullmatch(r"(?:const )?Number<(\d+), \w+>", what.spelling):
        return int(found[1])
    members = list(what.get_fields()) if what.kind.name == "RECORD" else []
    return sum(_bits(f.type) * prod(_sizes(f)) for f in members) or 8 * int(what.get_size())


RULES = {
    rule.__name__.strip("_"): rule
    for rule in (float_, pointer, width, recursion, label, unroll, pragma, pipeline, dependence,
                 partition, storage, stream, dataflow, interface, port, register)
}  # fmt: skip
"""By name, rules that look at the whole kernel; ``refused`` has more."""
