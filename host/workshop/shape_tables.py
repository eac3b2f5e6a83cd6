"""Tables of docs/results/shapes.json, as rows of cells; the first is the head."""

from __future__ import annotations

from typing import Any

from workshop.shape_picture import mean


def best_k(found: dict[str, Any]) -> list[list[str]]:
    """Best K x N of each size and budget, and its utilisation."""
    rows = [["MACs", *(f"X = H = {size}" for size in found["sizes"])]]
    for row in found["best_k"]:
        cells = zip(row["k"], row["n"], row["utilization"])
        rows.append([f"{row['macs']:,}", *(f"{k} x {n}: {u:.3f}" for k, n, u in cells)])
    return rows


def reconfiguration(found: dict[str, Any]) -> list[list[str]]:
    """Mean utilisation of a list and of single K's, and that at 340."""
    at = found["sizes"].index(340)

    def cell(seen: list[float]) -> str:
        return f"{mean(seen):.3f} ({seen[at]:.3f})" if seen else "none"

    head = ["MACs", "sequences", "list", "each K of it alone", "best single K"]
    rows = [[*head, "run-time K", "and padding"]]
    for row in found["reconfiguration"]:
        rows.append(
            [
                f"{row['macs']:,}",
                str(row["chains"]),
                ", ".join(map(str, row["k_list"])),
                ", ".join(
                    f"{mean(seen):.3f}" if seen else "none" for seen in row["alone"].values()
                ),
                f"{row['single']['k']}: {cell(row['single']['utilization'])}",
                cell(row["no_padding"]),
                cell(row["padding"]),
            ]
        )
    return rows


def ladder(found: dict[str, Any]) -> list[list[str]]:
    """Utilisation on each rung: of each budget the mean, with its K, and each size."""
    names = [rung["name"] for rung in found["ladder"][0]["rungs"]]
    rows = [["MACs", "X = H", *(f"`{n}`" if " " not in n and n != "padding" else n for n in names)]]
    for budget in found["ladder"]:
        rungs = budget["rungs"]
        means = [f"**{mean(rung['utilization']):.3f}**" for rung in rungs]
        ks = [f" K {rung['k'][0]}" if len(rung["k"]) == 1 else "" for rung in rungs]
        rows.append([f"{budget['macs']:,}", "mean", *(m + k for m, k in zip(means, ks))])
        for number, size in enumerate(found["sizes"]):
            cells = (f"{rung['utilization'][number]:.3f}" for rung in rungs)
            rows.append(["", str(size), *cells])
    return rows


def resources(found: dict[str, Any]) -> list[list[str]]:
    """What lists of K's cost: LUTs beside those of the first K alone, and the rest."""
    rows = [
        ["MACs", "K", "D", "LUT", "of one shape's", "FF", "BRAM36", "URAM", "DSP", "longest path"]
    ]
    alone: dict[int, float] = {}
    for one in found["engines"]:
        used = one["used"]
        first = alone.setdefault(one["macs"], used["lut"])
        rows.append(
            [
                f"{one['macs']:,}",
                ", ".join(map(str, one["k_list"])),
                str(one["tail"]),
                f"{used['lut']:,g}",
                f"{used['lut'] / first:.2f}",
                *(f"{used[kind]:,g}" for kind in ("ff", "bram36", "uram", "dsp")),
                one["longest"].split(":")[0] if one["witness"] else f"**fails**: {_levels(one)}",
            ]
        )
    return rows


def _levels(one: dict[str, Any]) -> str:
    """Levels of the paths that are too long, and where they end."""
    return ", ".join(path.split(":")[0] for path in one["failing"])
