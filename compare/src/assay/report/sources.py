"""What a run was made with, fact by fact: machine, versions, databases, rows, workload, load."""

import tomllib
from collections.abc import Set
from typing import Any

from assay.report.model import Results


def machine(results: Results) -> tuple[str, int, int]:
    where = results.environment
    return where.cpu_model, where.cpus, where.memory_bytes


def changed(before: Results, after: Results) -> list[tuple[str, str, str]]:
    """What is not the same, as (name, before, after)."""
    both = {one.name for one in before.scenarios} & {one.name for one in after.scenarios}
    held, found = _facts(before, both), _facts(after, both)
    return [
        (name, held.get(name, "–"), found.get(name, "–"))
        for name in dict.fromkeys([*held, *found])
        if held.get(name) != found.get(name)
    ]


def _facts(results: Results, scenarios: Set[str]) -> dict[str, str]:
    where, method = results.environment, results.method
    return {
        "CPU": f"{where.cpu_model}, {where.cpus} cores",
        "memory": f"{where.memory_bytes / 1024**3:.1f} GiB",
        "platform": where.platform,
        "python": where.python,
        **where.versions,
        **{f"{one.kind} server": f"{one.version} ({one.source})" for one in where.databases},
        **{
            f"{one.kind} {setting}": value
            for one in where.databases
            for setting, value in one.settings.items()
        },
        "kind of run": "quick" if results.is_quick else "full",
        "budget": f"{method.budget_seconds:g} s",
        "precision": f"{method.precision:g}",
        "seed": str(results.seed),
        "rows": f"{method.users} users, {method.documents} documents",
        "slice": f"{method.slices} × {method.slice_seconds:g} s",
        "warm-up": f"{method.warm_up_seconds:g} s",
        **{
            f"connections in {one.name}": str(one.connections)
            for one in results.scenarios
            if one.name in scenarios
        },
        **_workload(method.workload),
    }


def _workload(text: str | None) -> dict[str, str]:
    """Each value of the file by its place, so that another comment is no other workload."""
    if text is None:
        return {}
    try:
        return dict(_flat("workload", tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        return {"workload": text}


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    """
    >>> _flat("workload", {"rows": {"users": 5}, "operation": [{"weight": 1}]})
    [('workload rows users', '5'), ('workload operation 1 weight', '1')]
    """
    if isinstance(value, dict):
        inner = [(str(key), one) for key, one in value.items()]
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        inner = [(str(number), one) for number, one in enumerate(value, 1)]
    else:
        return [(name, str(value))]
    return [flat for key, one in inner for flat in _flat(f"{name} {key}", one)]
