"""Several readings as one: what they agree on, what follows from it, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.engines.foreign.trainer import PLACEHOLDERS
from launcher.errors import Problem
from launcher.spec.begun import UNWRITTEN, Carried, NotCarried, Reading
from launcher.spec.bundle import port_of

__all__ = ["Merged", "merged"]

_AXES = ("parallel.tensor", "parallel.pipeline", "parallel.context")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What all sources say together."""

    facts: Mapping[str, Carried]
    not_carried: tuple[NotCarried, ...]
    problems: tuple[Problem, ...]

    def value(self, path: str) -> Any:
        """What is to be written at a path; None where nothing is."""
        found = self.facts.get(path)
        return None if found is None or found.value is UNWRITTEN else found.value


@dataclass(slots=True)
class _Table:
    """Being put together."""

    facts: dict[str, Carried] = field(default_factory=dict)
    not_carried: list[NotCarried] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def value(self, path: str) -> Any:
        found = self.facts.get(path)
        return None if found is None or found.value is UNWRITTEN else found.value

    def put(self, path: str, value: Any, source: str, key: str, *, unsure: str = "") -> None:
        self.facts[path] = Carried(path, value, source, key, unsure)


def merged(readings: Sequence[Reading]) -> Merged:
    """All facts, every contradiction a problem; numbers that follow from several files with how they do."""
    table = _Table()
    for reading in readings:
        for carried in reading.carried:
            _add(table, carried)
        table.not_carried.extend(reading.not_carried)
    _engine(table)
    _stage(table)
    _batch(table)
    _placeholders(table)
    if table.value("@ours"):
        _meeting(table)
        _threads(table)
    else:  # nobody but us writes out what a person has left open
        table.facts = {path: fact._replace(unsure="", instead_of=()) for path, fact in table.facts.items()}
    _without_answered(table)
    return Merged(facts=table.facts, not_carried=tuple(table.not_carried), problems=tuple(table.problems))


def _add(table: _Table, new: Carried) -> None:
    old = table.facts.get(new.path)
    if old is None or old.value is UNWRITTEN or (old.is_default and not new.is_default):
        table.facts[new.path] = new
    elif new.is_default:
        return
    elif new.value is not UNWRITTEN and new.value != old.value and new.path.partition(".")[0] != "@tool":
        table.problems.append(
            Problem(
                code="sources-disagree",
                path=new.path,
                message=f"`{new.path}` is {_show(old.value)} in {old.place}, and {_show(new.value)} in {new.place}",
                hint="leave one of the two out, or make them agree",
            )
        )


def _without_answered(table: _Table) -> None:
    """What one file leaves open with "auto" and another one says is not missing any more."""

    def is_answered(each: NotCarried) -> bool:
        path = each.hint.removeprefix("write ")
        return each.value == "auto" and any(
            known == path or known.startswith(f"{path}.") for known in table.facts
        )

    table.not_carried = [each for each in table.not_carried if not is_answered(each)]


def _engine(table: _Table) -> None:
    """DeepSpeed's JSON is rendered for two engines only; alone it is for DeepSpeed's own."""
    sharded = table.value("parallel.data.strategy") == "zero" or table.value("@deepspeed")
    engine = table.facts.get("launch.engine")
    if not sharded or (engine is not None and engine.value != "torchrun"):
        return
    fact = table.facts.get("@deepspeed") or table.facts["parallel.data.strategy"]
    if engine is not None:
        hint = (
            "or write launch.engine: torchrun and launch.script_applies: [zero], and keep the JSON yourself"
        )
        why = "DeepSpeed's JSON is rendered for the engines deepspeed and accelerate: deepspeed starts it now"
        table.not_carried.append(NotCarried(engine.source, engine.key, "torchrun", why, hint))
    table.put("launch.engine", "deepspeed", fact.source, "it is a DeepSpeed JSON")


def _stage(table: _Table) -> None:
    """Stage 0 is nothing to say of DeepSpeed, and something where Accelerate was told to use it."""
    stage = table.facts.get("parallel.data.stage")
    if table.value("parallel.data.strategy") == "zero" and stage is not None and stage.value is UNWRITTEN:
        table.put("parallel.data.stage", 0, stage.source, stage.key)


def _meeting(table: _Table) -> None:
    """What a plan leaves open is filled in when it is rendered: the port follows from the folder."""
    port, address = table.facts.get("launch.network.port"), table.facts.get("launch.network.main_address")
    folder = table.value("@run_dir")
    if port is not None and isinstance(folder, str) and port.value == port_of(folder):
        table.put(port.path, UNWRITTEN, port.source, port.key)
    elif port is not None and table.value("launch.executor") == "kubernetes":
        table.facts[port.path] = port._replace(
            unsure="pods have a network of their own, and one port is as good as another"
        )
    if address is not None and address.value is not UNWRITTEN:
        unsure = f"ranks meet at `{address.value}`; auto takes the first host"
        table.put(address.path, UNWRITTEN, address.source, address.key, unsure=unsure)


def _threads(table: _Table) -> None:
    """Threads of a process are its share of the node's cores."""
    threads = table.facts.get("@threads")
    devices = table.value("cluster.devices_per_node") or len(table.value("cluster.devices") or ())
    if threads is None or not devices:
        return
    path = "cluster.cpus_per_node"
    if str(threads.value).isdecimal() and int(threads.value) > 1:
        key = f"OMP_NUM_THREADS: {threads.value} x {devices} devices"
        table.put(path, int(threads.value) * devices, threads.source, key)
    else:
        table.put(path, UNWRITTEN, threads.source, threads.key)


def _batch(table: _Table) -> None:
    """The global batch is micro x accumulation x data-parallel ranks: what follows, or does not agree."""
    world = _world(table)
    micro, accumulation = table.value("micro_batch_size"), table.value("gradient_accumulation_steps")
    size = table.value("global_batch_size")
    if not (_counts(micro) and _counts(accumulation)) or world is None:
        return
    ranks = world
    for axis in _AXES:
        ranks //= max(1, table.value(axis) or 1)
    if size is None:
        formula = f"{micro} micro x {accumulation} accumulation x {ranks} ranks"
        table.put("global_batch_size", micro * accumulation * ranks, "", formula)
    elif isinstance(size, int) and size != micro * accumulation * ranks:
        _other_ranks(table, size=size, micro=micro, accumulation=accumulation, world=world, ranks=ranks)
    elif table.value("@ours"):
        for axis in _AXES:
            if axis not in table.facts:
                table.put(axis, UNWRITTEN, "", f"{size} = {micro} x {accumulation} x {ranks} ranks")


def _other_ranks(table: _Table, *, size: int, micro: int, accumulation: int, world: int, ranks: int) -> None:
    """A batch for fewer ranks than there are is one with other axes; any other number is a contradiction."""
    implied, rest = divmod(size, micro * accumulation)
    if not rest and implied and world % implied == 0 and table.value("@ours"):
        return
    fact = table.facts["global_batch_size"]
    table.problems.append(
        Problem(
            code="sources-disagree",
            path="global_batch_size",
            message=f"`global_batch_size` is {size} in {fact.place}, and {micro} micro x {accumulation} accumulation "
            f"x {ranks} ranks is {micro * accumulation * ranks}",
            because=tuple(
                f"{path}: {table.facts[path].place}"
                for path in (
                    "micro_batch_size",
                    "gradient_accumulation_steps",
                    "cluster.nodes",
                    "cluster.devices_per_node",
                )
                if path in table.facts
            ),
            hint="leave the number out that does not belong to this run, or make them agree",
        )
    )


def _world(table: _Table) -> int | None:
    nodes, devices = table.value("cluster.nodes"), table.value("cluster.devices_per_node")
    if table.value("cluster.devices"):
        named = len(table.value("cluster.devices"))
        if devices is not None and devices != named:
            _fewer_devices(table, devices=devices, named=named)
        else:
            table.facts.pop("cluster.devices_per_node", None)
            devices = named
    if isinstance(nodes, int) and isinstance(devices, int):
        return nodes * devices
    total = table.value("@world_size")
    return total if isinstance(total, int) else None


def _fewer_devices(table: _Table, *, devices: int, named: int) -> None:
    """More visible than used: the first ones are taken."""
    fact = table.facts["cluster.devices"]
    if named > devices:
        table.facts["cluster.devices"] = fact._replace(value=fact.value[:devices])
        table.facts.pop("cluster.devices_per_node")
        return
    count = table.facts["cluster.devices_per_node"]
    table.problems.append(
        Problem(
            code="sources-disagree",
            path="cluster.devices",
            message=f"`cluster.devices` are {named} in {fact.place}, and {devices} processes in {count.place}",
            hint="make them agree",
        )
    )


def _placeholders(table: _Table) -> None:
    """Numbers of the Trainer's own arguments follow the plan from now on; our own commands stay as they were."""
    args = table.value("launch.args")
    if args is None or table.value("@ours"):
        return
    words = list(args)
    for at, word in enumerate(words[:-1]):
        if word in {"--deepspeed", "--deepspeed_config"} and table.value("@deepspeed"):
            words[at + 1] = "{deepspeed_config}"
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        place = PLACEHOLDERS.get(name.lstrip("-").replace("-", "_")) if name.startswith("--") else None
        if place is None or not (equals or at + 1 < len(words)):
            continue
        found = value if equals else words[at + 1]
        if table.value("@trainer_arguments") and _same(found, table.value(_PATHS[place])):
            if equals:
                words[at] = f"{name}={{{place}}}"
            else:
                words[at + 1] = f"{{{place}}}"
    fact = table.facts["launch.args"]
    table.facts["launch.args"] = fact._replace(value=words)


_PATHS = {
    "micro_batch_size": "micro_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "peak_learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "gradient_clipping": "optimizer.gradient_clipping",
    "seed": "seed",
}


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _same(text: str, value: Any) -> bool:
    try:
        return value is not None and float(text) == float(value)
    except (TypeError, ValueError):
        return False


def _show(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
