"""Vitis HLS and Vivado: scripts, reports, what qualifies a board."""
