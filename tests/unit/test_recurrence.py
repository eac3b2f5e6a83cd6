"""How the form that clang makes of an update becomes wires, and how deep those are."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import compilers
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools
from workshop import datapath, libclang, recurrence, results
from workshop.datapath import OBJECTS, Step
from workshop.libclang import Field, Layout
from workshop.llvm_ir import Module, NotADatapath
from workshop.recurrence import Steps

_clang = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="clang is missing: pip install ziglang"
)
FOUR = Layout(16, tuple(Field("x", 4 * at, 4) for at in range(4)))
LAYOUTS = dict.fromkeys(OBJECTS, FOUR)


def step(*body: str) -> Step:
    text = "define void @made(ptr %state, ptr %in, ptr %memories, ptr %out) #0 {\nentry:\n"
    return datapath.step(Module(text + "\n".join(body) + "\n}\n"), "made", LAYOUTS)


def adds(count: int) -> list[str]:
    """A chain of additions from the state to itself, each with an input of its own."""
    lines = ["  %s0 = load i32, ptr %state, align 4"]
    for at in range(count):
        lines += [
            f"  %p{at} = getelementptr inbounds nuw i8, ptr %in, i64 {4 * at}",
            f"  %i{at} = load i32, ptr %p{at}, align 4, !tbaa !9",
            f"  %x{at} = xor i32 %s{at}, %i{at}",
            f"  %s{at + 1} = add nsw i32 %x{at}, %s{at}",
        ]
    return [*lines, f"  store i32 %s{count}, ptr %state, align 4", "  ret void"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (["  br label %again", "again:", "  br label %again"], "a loop is left"),
        (["  %a = sdiv i32 7, 3", "  ret void"], "the instruction sdiv is not known"),
        (["  call void @elsewhere(i32 1)", "  ret void"], "calls elsewhere"),
        (["  %a = call i32 @llvm.ctpop.i32(i32 1)", "  ret void"], "llvm.ctpop is not known"),
        (["  %a = load <2 x i32>, ptr %state", "  ret void"], "<2 x i32>"),
        (["  store i32 1, ptr %in, align 4", "  ret void"], "stores into in"),
        (
            [
                "  %i = load i32, ptr %in, align 4",
                "  %w = zext i32 %i to i64",
                "  %p = getelementptr inbounds i64, ptr %state, i64 %w",
                "  store i64 1, ptr %p, align 8",
                "  ret void",
            ],
            "by 8 bytes from byte 0 of state is into no table",
        ),
    ],
)
def test_what_is_no_datapath_is_refused_in_a_sentence(body: list[str], why: str) -> None:
    with pytest.raises(NotADatapath) as refused:
        step(*body)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_no_step_changes_and_inputs_are_early() -> None:
    made = step(
        "  %k = load i32, ptr %state, align 4",
        "  %i = load i32, ptr %in, align 4",
        "  %fixed = add i32 %k, %i",
        "  %p = getelementptr inbounds i8, ptr %state, i64 4",
        "  %s = load i32, ptr %p, align 4",
        "  %next = add i32 %fixed, %s",
        "  store i32 %next, ptr %p, align 4",
        "  ret void",
    )
    early = {wire.name.split("[")[0]: wire.early for wire in made.wires if wire.op == "add"}
    assert early == {"made_fixed": True, "made_next": False}


def test_operations_that_follow_one_another_add_up() -> None:
    once, twice = (recurrence.longest(step(*adds(count))) for count in (1, 2))
    assert 0 < once < twice


def test_a_deeper_update_is_seen(tmp_path: Path) -> None:
    shallow, deep = (
        recurrence.depth(tmp_path / str(count), "xc7", step(*adds(count))) for count in (1, 3)
    )
    assert (shallow.chains, shallow.fails) == (1, False)
    assert (deep.chains, deep.fails) == (3, True)
    assert "-> made.x" in deep.longest


@_clang
@pytest.mark.parametrize("name", config.shipped())
def test_depths_shown_are_of_this_kernel(name: str, tmp_path: Path) -> None:
    cfg, seen = config.load(name), results.read("recurrences")[name]
    made = {of.name: recurrence.source(tmp_path, of) for of in Steps(cfg, tmp_path).steps}
    shown = {step: of["made_from"] for step, of in seen["updates"].items()}
    assert seen["identity"] == cfg.digest
    assert shown == {n: tools.digest([path]) for n, path in made.items()}, "run make resources"


@_clang
def test_integers_are_those_of_the_public_headers(tmp_path: Path) -> None:
    """What operators return, as wide as it is, and what assignment leaves."""
    try:
        public = compilers.ap_types()
    except UsageError as error:
        pytest.skip(str(error))
    main = Path(__file__).with_name("integers.cpp")
    ours = [sys.executable, "-m", "ziglang", "c++", "-c", "-target", "x86_64-linux-gnu"]
    flags = ["-std=c++14", "-O1", "-fno-sanitize=all", "-Wno-bit-int-extension"]
    subprocess.run(
        [*ours, *flags, "-I", str(libclang.STUBS), str(main), "-o", "own.o"],
        cwd=tmp_path,
        check=True,
    )
    subprocess.run(["g++", "own.o", "-o", "own"], cwd=tmp_path, check=True)
    theirs = ["g++", "-std=c++14", "-O1", "-w", "-isystem", str(public), str(main), "-o", "public"]
    subprocess.run(theirs, cwd=tmp_path, check=True)
    own_says, public_says = (
        subprocess.run([tmp_path / name], capture_output=True, text=True, check=True).stdout
        for name in ("own", "public")
    )
    assert own_says.count("\n") > 1000
    assert own_says == public_says
