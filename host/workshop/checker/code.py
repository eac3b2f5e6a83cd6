"""Rules of synthesisable code: C++14 without what no hardware can be made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from workshop.checker.kernel import (
    HEADERS,
    Cursor,
    Function,
    Kernel,
    Loop,
    Placed,
    is_constexpr,
    kind,
)

Complaints = Iterator[tuple["Cursor | Placed", str]]
MAX_WIDTH = 4096
"""Most bits of an ap_int, of a stream's beat and of a memory's word."""
_ALLOCATORS = ("malloc", "calloc", "realloc", "free", "alloca")
_BANNED = {  # kind of cursor: (rule, sentence)
    "CXX_NEW_EXPR": ("allocation", "there is no heap; declare an array of a constant size"),
    "CXX_DELETE_EXPR": ("allocation", "there is no heap; declare an array of a constant size"),
    "GOTO_STMT": ("goto", "goto has no loop's schedule; write a loop or an if"),
    "INDIRECT_GOTO_STMT": ("goto", "goto has no loop's schedule; write a loop or an if"),
    "CXX_THROW_EXPR": ("exception", "nothing catches in hardware; return a status"),
    "CXX_TRY_STMT": ("exception", "nothing throws in hardware; test a status"),
    "CXX_DYNAMIC_CAST_EXPR": ("virtual", "types are not known at run time; use a template"),
    "CXX_TYPEID_EXPR": ("virtual", "types are not known at run time; use a template"),
    "FLOATING_LITERAL": ("float", "floating point becomes vendor cores; use integers"),
}
_DECLARATIONS = ("VAR_DECL", "PARM_DECL", "FIELD_DECL", "TYPEDEF_DECL", "TYPE_ALIAS_DECL")
_CASTS = ("CSTYLE_CAST_EXPR", "CXX_FUNCTIONAL_CAST_EXPR", "CXX_STATIC_CAST_EXPR")
_POINTERS = ("POINTER", "LVALUEREFERENCE", "RVALUEREFERENCE", "MEMBERPOINTER")


def refused(kernel: Kernel) -> Iterator[tuple[tuple[str, int], str, str]]:
    """Yield (place, rule, text) of what Clang refuses."""
    for path, line, why in kernel.errors():
        pragma = kernel.pragma_at(path, line)
        if pragma:
            rule, remedy = "scope", f"'{pragma.text}' must name what is declared above it"
        elif "conditional expression is ambiguous" in why or "incompatible operand types" in why:
            rule, remedy = "choice", "give both sides of a choice one type and width"
        elif "file not found" in why or "namespace 'std'" in why:
            rule, remedy = "library", f"guard it with #ifndef __SYNTHESIS__; {_headers()} are known"
        else:
            rule, remedy = "c++14", "the kernel is plain C++14"
        yield (path, line), rule, f"{why}; {remedy}"


def banned(rule: str, kernel: Kernel) -> Complaints:
    """Statements and expressions that have no hardware."""
    for what, (name, sentence) in _BANNED.items():
        if name == rule:
            yield from ((cursor, sentence) for cursor in kernel.of(what))


def allocation(kernel: Kernel) -> Complaints:
    """No new, no malloc."""
    yield from banned("allocation", kernel)
    for function in kernel.functions:
        for call, _ in function.calls:
            if call.spelling in _ALLOCATORS:
                yield call, f"there is no heap for {call.spelling}; declare an array"


def recursion(kernel: Kernel) -> Complaints:
    """No function calls itself, through others neither."""
    for function in kernel.functions:
        seen: set[Function] = set()
        todo = [function]
        while todo:
            for call, _ in todo.pop().calls:
                todo += (fresh := set(kernel.callees(call)) - seen)
                seen |= fresh
        if function in seen and not function.is_constexpr:
            yield function.cursor, f"{function.name} calls itself and hardware has no stack; loop"


def virtual(kernel: Kernel) -> Complaints:
    """No function is chosen at run time."""
    yield from banned("virtual", kernel)
    for cursor in kernel.of("CXX_METHOD", "DESTRUCTOR"):
        if cursor.is_virtual_method():
            yield cursor, f"{cursor.spelling} is virtual; use a template"


def floating(kernel: Kernel) -> Complaints:
    """No floating point."""
    yield from banned("float", kernel)
    for cursor in kernel.of(*_DECLARATIONS, *_CASTS):
        what = _element(cursor.type.get_canonical())
        if what.kind.name in ("FLOAT", "DOUBLE", "LONGDOUBLE", "HALF", "FLOAT128"):
            yield cursor, f"{what.spelling} becomes vendor cores; use integers of a stated width"


def pointers(kernel: Kernel) -> Complaints:
    """No pointers to functions or to pointers, no arrays of an unknown size."""
    for cursor in kernel.of(*_DECLARATIONS):
        what = _element(cursor.type.get_canonical())
        if cursor.type.kind.name in ("INCOMPLETEARRAY", "VARIABLEARRAY"):
            yield cursor, f"{cursor.spelling} has no constant size; write it between the brackets"
        if what.kind.name in _POINTERS:
            pointee = _element(what.get_pointee())
            if pointee.kind.name in ("FUNCTIONPROTO", "FUNCTIONNOPROTO"):
                yield cursor, f"{cursor.spelling} points to a function; call it by name"
            elif pointee.kind.name == "POINTER":
                yield cursor, f"{cursor.spelling} points to a pointer; pass an array"


def widths(kernel: Kernel) -> Complaints:
    """No integer is wider than ap_int can be."""
    for cursor in kernel.of(*_DECLARATIONS):
        for bits in re.findall(r"\bap_u?int<(\d+)>", cursor.type.get_canonical().spelling):
            if int(bits) > min(kernel.widest, MAX_WIDTH):
                remedy = f"define AP_INT_MAX_W, at most {MAX_WIDTH}, before ap_int.h, or narrow it"
                yield cursor, f"{cursor.spelling} has {bits} of {kernel.widest} bits; {remedy}"
            elif int(bits) == 0:
                yield cursor, f"{cursor.spelling} has no bits; an ap_int has one at least"


def labels(kernel: Kernel) -> Complaints:
    """Every loop has a label, by which reports know it."""
    for function in kernel.functions:
        for loop in function.loops:
            if not loop.labelled and not function.is_constexpr:
                yield loop.cursor, f"a loop of {function.name} has no label; write Name: before it"


def unrolled(kernel: Kernel) -> Complaints:
    """Loops inside a pipeline are unrolled whole: their bounds are constant."""
    inside = called_in_pipelines(kernel)
    for function in kernel.functions:
        for loop in function.loops:
            around = list(loop.around())[1:]
            if function in inside or any(outer.pipelined() for outer in around):
                if loop.pipelined():
                    yield loop.cursor, "it is unrolled by the pipeline around it; take one away"
                if not _is_constant(loop):
                    yield loop.cursor, "a pipeline unrolls it; count an int up to a constant bound"


def called_in_pipelines(kernel: Kernel) -> set[Function]:
    """Functions that become part of a pipelined loop."""
    inside: set[Function] = set()
    todo = list(kernel.functions)
    while todo:
        function = todo.pop()
        for call, loop in function.calls:
            if function in inside or any(outer.pipelined() for outer in loop.around()):
                todo += (fresh := set(kernel.callees(call)) - inside)
                inside |= fresh
    return inside


def _is_constant(loop: Loop) -> bool:
    """Whether its rounds can be counted at compile time."""
    head = list(loop.cursor.get_children())[:-1]
    if kind(loop.cursor) != "FOR_STMT" or len(head) != 3 or kind(head[0]) != "DECL_STMT":
        return False
    counters = [c for c in head[0].get_children() if kind(c) == "VAR_DECL"]
    for outer in list(loop.around())[1:]:  # a bound may be the counter of another such loop
        if kind(outer.cursor) == "FOR_STMT" and outer.labelled and _is_constant(outer):
            counters += next(outer.cursor.get_children()).get_children()
    names = [c for part in head for c in part.walk_preorder()]
    return not any(
        kind(c) == "MEMBER_REF_EXPR"
        or (kind(c) == "DECL_REF_EXPR" and not _is_fixed(c.referenced, counters))
        for c in names
    )


def _is_fixed(what: Cursor, counters: list[Cursor]) -> bool:
    fixed = ("ENUM_CONSTANT_DECL", "TEMPLATE_NON_TYPE_PARAMETER")
    return what in counters or kind(what) in fixed or is_constexpr(what)


def _element(what: Cursor) -> Cursor:
    """Type of the elements of an array, however many dimensions it has; else the type itself."""
    while what.kind.name.endswith("ARRAY"):
        what = what.element_type.get_canonical()
    return what


def _headers() -> str:
    return ", ".join(HEADERS)


RULES: dict[str, Callable[[Kernel], Complaints]] = {
    "recursion": recursion,
    "allocation": allocation,
    "virtual": virtual,
    "float": floating,
    "goto": partial(banned, "goto"),
    "exception": partial(banned, "exception"),
    "pointer": pointers,
    "width": widths,
    "label": labels,
    "unroll": unrolled,
}
