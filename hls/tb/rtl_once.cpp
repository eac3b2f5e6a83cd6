// What follows this in the engine's unit runs once, and is not optimised; see flow/verilate.py.
#pragma GCC optimize("O0")
