"""A plan on one screen: verdict first, then batch, rate, layout, who carries out what, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.errors import Problem
from launcher.planning.support import unsupported
from launcher.reporting.columns import WIDTH, labelled, wrapped
from launcher.reporting.glyphs import Colour, Glyphs
from launcher.reporting.memory_text import memory_lines, memory_summary
from launcher.reporting.noise_text import noise_plan_lines
from launcher.reporting.rate_text import rate_lines, show_large
from launcher.reporting.stages_text import stage_lines
from launcher.reporting.ways_out import ways_out
from launcher.spec.cluster import Cluster
from launcher.spec.plan import BatchPlan, LayoutPlan, ModelPlan, RunPlan
from launcher.spec.recipe import Recipe
from launcher.units import show_count

__all__ = ["plan_text"]

_COLOURS: Mapping[str, Colour] = {"fits": "green", "tight": "yellow", "unknown-memory": "yellow"}
_WHO = {
    "runtime": "the runtime",
    "engine": "the engine",
    "argument": "arguments of the script",
    "script-must": "only the script can",
}

_MOST_HOSTS = 6
_SPLIT = ("micro_batch_size", "gradient_accumulation_steps")
_KEYS = {"data_strategy": "parallel.data"}
"""Settings that a recipe writes under another name."""


def plan_text(
    *,
    plan: RunPlan,
    recipe: Recipe,
    recipe_path: str,
    glyphs: Glyphs,
    explain: bool = False,
) -> list[str]:
    """The lines of `batchwright plan`; at most 100 characters each.

    recipe_path: as the person wrote it. explain: every number with its origin.
    """
    lines = [
        *_first_line(plan, glyphs),
        "",
        *labelled("batch", _batch(plan.batch)),
        *labelled("stages", stage_lines(plan)),
        *labelled("rate", rate_lines(plan, recipe, glyphs)),
        *labelled("model", [_model(plan.model)]),
        *labelled("memory", memory_lines(plan, glyphs)),
        *labelled("layout", [_layout(plan.layout), *_hosts(plan, recipe)]),
        *labelled("noise", noise_plan_lines(plan)),
        *labelled("applied", _applied(plan, recipe)),
        "",
        *_remarks(plan.problems, glyphs),
        *_alternatives(plan),
        *labelled("hashes", [f"plan {plan.plan_hash[:12]}{glyphs.dot}semantics {plan.semantics_hash[:12]}"]),
    ]
    if explain:
        from launcher.reporting.explain import explanation

        lines += ["", *explanation(plan)]
    if not explain:
        lines += labelled("next", _next(plan, recipe, recipe_path, glyphs))
    return lines


def _first_line(plan: RunPlan, glyphs: Glyphs) -> list[str]:
    layout = plan.layout
    nodes = f"{layout.num_nodes} node{'s' if layout.num_nodes != 1 else ''}"
    world = f"{layout.world_size} x {layout.device.upper()} ({nodes} x {layout.devices_per_node})"
    how = f"{plan.launch.engine} {_strategy(layout)} over {plan.launch.executor}"
    answer = "   ".join(word for word in (plan.verdict, memory_summary(plan)) if word)
    painted = answer.replace(plan.verdict, glyphs.paint(plan.verdict, _COLOURS.get(plan.verdict, "red")), 1)
    if len(answer) + len(world) + len(how) + 6 <= WIDTH:
        return [f"{painted}   {world}   {how}"]
    return [painted, f"{world}   {how}"]


def _strategy(layout: LayoutPlan) -> str:
    if layout.data_strategy == "zero":
        return f"ZeRO-{layout.zero_stage}"
    if layout.data_strategy == "fsdp":
        return f"FSDP{layout.fsdp_version or ''} (stage {layout.zero_stage})"
    return layout.data_strategy


def _batch(batch: BatchPlan) -> list[str]:
    size = f"{show_count(batch.global_batch_size)} sequence{'s' if batch.global_batch_size != 1 else ''}"
    if batch.sequence_length is not None and batch.tokens_per_step is not None:
        first = f"{size} x {show_count(batch.sequence_length)} tokens = {show_count(batch.tokens_per_step)} tokens"
    else:
        first = size
    product = (
        f"= {show_count(batch.micro_batch_size)} micro x {show_count(batch.gradient_accumulation_steps)} accumulation"
        f" x {show_count(batch.data_parallel_size)} data-parallel"
    )
    if not batch.idle_slots:
        return [f"{first} per step", f"{product:<60}  exact, no idle slots"]
    share = 100 * batch.idle_slots / batch.slots_per_step
    slots = f"{product} - {show_count(batch.idle_slots)} idle"
    cost = f"{share:.2g} % of {show_count(batch.slots_per_step)} slots idle"
    return [f"{first} per step", f"{slots:<60}  {cost}"]


def _model(model: ModelPlan) -> str:
    words = [model.kind]
    named = {
        "layers": model.num_layers,
        "hidden": model.hidden_size,
        "heads": model.num_attention_heads,
        "feed-forward": model.intermediate_size,
        "vocabulary": model.vocab_size,
    }
    words += [f"{name} {show_count(number)}" for name, number in named.items() if number is not None]
    if model.num_parameters is not None:
        words.append(f"{show_large(model.num_parameters)} parameters")
    return ", ".join(words)


def _layout(layout: LayoutPlan) -> str:
    axes = {
        "tensor": layout.tensor_parallel_size,
        "pipeline": layout.pipeline_parallel_size,
        "context": layout.context_parallel_size,
    }
    split = layout.tensor_parallel_size * layout.pipeline_parallel_size * layout.context_parallel_size
    named = [f"{show_count(size)} {name}" for name, size in axes.items() if size > 1]
    named.append(f"{show_count(layout.world_size // split)} data-parallel")
    processes = f"{show_count(layout.world_size)} process{'es' if layout.world_size != 1 else ''}"
    expert = f", experts over {layout.expert_parallel_size}" if layout.expert_parallel_size > 1 else ""
    offload = f", {layout.offload} in host memory" if layout.offload != "none" else ""
    return f"{processes} = {' x '.join(named)}{expert}; {_strategy(layout)}{offload}; {layout.backend}"


def _hosts(plan: RunPlan, recipe: Recipe) -> list[str]:
    """Where the nodes are, when a hostfile names them."""
    names = plan.launch.hosts
    if not names:
        return []
    hostfile = recipe.cluster.hostfile if isinstance(recipe.cluster, Cluster) else None
    shown = (
        ", ".join(names)
        if len(names) <= _MOST_HOSTS
        else f"{', '.join(names[: _MOST_HOSTS - 1])} ... {names[-1]}"
    )
    return [f"on {shown}, from {hostfile}" if hostfile else f"on {shown}"]


def _applied(plan: RunPlan, recipe: Recipe) -> list[str]:
    """Who carries out what; of what only the script can do, the split of the batch and what was written."""
    found: dict[str, list[str]] = {}
    for setting, who in plan.applied_by.items():
        key = _KEYS.get(setting, setting)
        written = any(path.startswith(key) or path.endswith(key) for path in recipe.marks)
        if who != "script-must" or setting in _SPLIT or written:
            found.setdefault(who, []).append(setting)
    return [f"{_WHO[who]}: {', '.join(found[who])}" for who in _WHO if who in found]


def _remarks(problems: tuple[Problem, ...], glyphs: Glyphs) -> list[str]:
    """Warnings, then notes, in the words and with the places that errors have."""
    lines: list[str] = []
    for severity, colour in (("warning", "yellow"), ("note", "dim")):
        for problem in problems:
            if problem.severity == severity:
                first, *rest = str(problem).splitlines()
                shown = labelled(severity, [first])
                shown[0] = shown[0].replace(severity, glyphs.paint(severity, colour), 1)  # type: ignore[arg-type]
                lines += shown
                lines += [
                    f"{'':<8}{part}" for line in rest for part in wrapped(line, width=WIDTH - 8, hang=4)
                ]
    return lines


def _alternatives(plan: RunPlan) -> list[str]:
    return [*ways_out(plan.alternatives), ""] if plan.alternatives else []


def _next(plan: RunPlan, recipe: Recipe, recipe_path: str, glyphs: Glyphs) -> list[str]:
    views = ("--explain: where each number comes from", "--json: all of it")
    return [_next_step(plan, recipe, recipe_path), glyphs.dot.join(views)]


def _next_step(plan: RunPlan, recipe: Recipe, recipe_path: str) -> str:
    """What can really be done with this plan."""
    if plan.verdict == "does-not-fit":
        return f"batchwright plan {recipe_path} --set ...: one of the ways out"
    refused = [problem for problem in unsupported(recipe) if problem.code != "stage-needs-a-restart"]
    if refused:
        later = all(problem.code == "not-yet-supported" for problem in refused)
        seen = "the keys that are not used yet" if later else f"{refused[-1].code} above"
        return f"it can be planned and not yet be run: see {seen}"
    if plan.launch.script is None and plan.launch.module is None:
        return "write launch.script, then batchwright run"
    if plan.layout.num_nodes > 1 and plan.launch.executor == "local":
        return f"batchwright render {recipe_path} -o DIR"
    part = recipe.part
    if part is None:
        return f"batchwright run {recipe_path}"
    return f"batchwright run {recipe_path} --stage {part.first_stage}{' --resume RUN' if part.number > 1 else ''}"
