"""Was the work equal: the parity manifest, and what the databases held before and after."""

from dataclasses import dataclass

from assay.report.model import Arm, Content, Property
from assay.report.views import View


@dataclass(frozen=True)
class PropertyView:
    """`values` by arm in the order of `Sameness.arms`; `alarmed` where it differs undeclared."""

    found: Property
    values: list[str | None]

    @property
    def alarmed(self) -> bool:
        return self.found.differs and self.found.declared is None


@dataclass(frozen=True)
class ContentView:
    """By collection: its name, what it held before and after; None where it was not there."""

    content: Content
    hue: int
    collections: list[tuple[str, str | None, str | None]]


class Sameness:
    def __init__(self, view: View) -> None:
        results = view.results
        named = {name for found in results.parity for name in found.values}
        self.arms: list[Arm] = [arm for arm in results.arms if arm.name in named]
        self.alarmed: list[Arm] = [arm for arm in results.arms if arm.alarms]
        self.properties = [
            PropertyView(found, [found.values.get(arm.name) for arm in self.arms]) for found in results.parity
        ]
        self.contents = [
            ContentView(
                found,
                view.hue(found.backend),
                [
                    (name, found.before.get(name), found.after.get(name))
                    for name in dict.fromkeys([*found.before, *found.after])
                ],
            )
            for found in results.contents
        ]

    @property
    def differing(self) -> int:
        return sum(one.found.differs for one in self.properties)
