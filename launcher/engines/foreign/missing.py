"""What none of the files says: every key of a recipe that a plan depends on and that no source settles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from launcher.spec.begun import UNWRITTEN, Carried, Missing
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import EitherShape, Key, SectionShape, Shape, section_of

__all__ = ["missing_keys"]

_NO_PART_OF_A_PLAN = frozenset(
    {
        "schema", "data.paths", "launch.workdir", "launch.restarts", "cluster.interconnect",
        "cluster.time_limit", "cluster.price_per_device_hour", "cluster.power_watts", "cluster.checkpoint_bandwidth",
        "cluster.groups",
    }
)  # fmt: skip
"""Keys without which every number of a plan is the same."""
_WITH = {
    "global_batch_size": ("global_batch_tokens",),
    "micro_batch_size": ("cluster.reserve", "cluster.host_memory"),
    "launch.script": ("launch.module",),
    "launch.module": ("launch.script",),
    "cluster.devices": ("cluster.devices_per_node",),
    "cluster.devices_per_node": (),
}
"""Keys that are settled by another one."""
_OPEN_IN_A_PLAN: Mapping[str, tuple[str, ...]] = {"global_batch_size": (), "micro_batch_size": ()}
"""What we render comes of one or the other, and of a first stage whose micro-batch says nothing about the next."""
_IMAGES = ("vit", "resnet", "mlp")
_WHY = {
    "global_batch_size": "sequences per optimizer step",
    "sequence_length": "tokens per sequence",
    "hidden_size": "width of the model; a config.json has it, and so has model.preset",
    "cluster": "the machines; this one is taken",
    "cluster.device": "which device; no launcher says it, and cpu is taken",
    "launch.script": "what is trained",
    "name": "the file's name is taken",
}


def missing_keys(facts: Mapping[str, Carried]) -> tuple[Missing, ...]:
    """In the order of a recipe; a section of which nothing is known is one entry. What a plan needs is marked."""
    known = {path for path, fact in facts.items() if not fact.unsure and not path.startswith("@")}
    unsure = {path: fact for path, fact in facts.items() if fact.unsure}
    settles = _WITH if "@ours" not in facts else {**_WITH, **_OPEN_IN_A_PLAN}
    known |= {other for path in {*known, *unsure} for other in settles.get(path, ())}
    found = list(_below(section_of(Recipe), "", known, unsure))
    listed = {each.path for each in found}
    inner = [
        Missing(path, fact.unsure, instead_of=fact.instead_of, is_unsure=True)
        for path, fact in unsure.items()
        if path not in listed and not any(path.startswith(f"{each}.") for each in listed)
    ]
    return tuple(_with_needs((*found, *inner), facts))


def _below(
    section: SectionShape, prefix: str, known: set[str], unsure: Mapping[str, Carried]
) -> Iterator[Missing]:
    for key in section.keys:
        path = f"{prefix}{key.name}"
        if path in _NO_PART_OF_A_PLAN or any(path == each or path.startswith(f"{each}.") for each in known):
            continue
        if path in unsure:
            yield Missing(path, unsure[path].unsure, instead_of=unsure[path].instead_of, is_unsure=True)
            continue
        inner = _section(key)
        touched = any(each.startswith(f"{path}.") for each in {*known, *unsure})
        if inner is not None and touched:
            yield from _below(inner, f"{path}.", known, unsure)
        elif not touched:
            yield Missing(path, _WHY.get(path, ""))


def _section(key: Key) -> SectionShape | None:
    shape: Shape = key.shape
    options = shape.options if isinstance(shape, EitherShape) else (shape,)
    return next((option for option in options if isinstance(option, SectionShape)), None)


def _with_needs(found: tuple[Missing, ...], facts: Mapping[str, Carried]) -> Iterator[Missing]:
    kind = facts["model.kind"].value if "model.kind" in facts else "decoder"
    needed = {"global_batch_size", "hidden_size", "sequence_length"}
    if kind in _IMAGES:
        needed.discard("sequence_length")
    for each in found:
        written = each.path in facts and facts[each.path].value is not UNWRITTEN
        if each.path == "sequence_length" and kind in _IMAGES:
            continue
        is_needed = each.path in needed or (each.path == "cluster.device" and "cluster.nodes" in facts)
        yield each._replace(needed=is_needed and not written)
