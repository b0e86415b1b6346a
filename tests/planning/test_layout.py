"""World, axes, strategy and device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import codes, only, plan_of, recipe_of, refusal_of

from launcher.catalog.devices import DEVICES
from launcher.spec.cluster import Cluster, Group
from launcher.spec.launch import Launch
from launcher.spec.model import Model
from launcher.spec.parallel import Context, DataParallel, Parallel

DECLARED = ("tensor", "pipeline", "context", "expert", "zero", "fsdp")


def layout_of(cluster: Cluster | None = None, **parallel):
    keys = {} if cluster is None else {"cluster": cluster}
    model = Model(num_layers=840, num_attention_heads=24)
    return plan_of(
        recipe_of(
            global_batch_size=2520,
            parallel=Parallel(**parallel),
            launch=Launch(script_applies=DECLARED),
            model=model,
            **keys,
        )
    ).layout


@given(
    nodes=st.integers(1, 20),
    devices=st.integers(1, 9),
    tensor=st.sampled_from([1, 2, 3, 4, 8]),
    pipeline=st.integers(1, 4),
    context=st.integers(1, 4),
)
def test_ranks_are_the_product_of_the_axes_or_refused(nodes, devices, tensor, pipeline, context):
    """world_size = data x tensor x pipeline x context, whole, or parallel-not-dividing."""
    recipe = recipe_of(
        nodes=nodes,
        devices=devices,
        global_batch_size=nodes * devices,
        sequence_length=1020,
        parallel=Parallel(tensor=tensor, pipeline=pipeline, context=context),
        launch=Launch(script_applies=DECLARED),
        model=Model(num_layers=12, num_attention_heads=24),
    )
    taken = tensor * pipeline * context
    if (nodes * devices) % taken:
        problem = only(refusal_of(recipe), "parallel-not-dividing")
        assert f"= {taken} ranks for each copy of the model" in problem.message
        return
    plan = plan_of(recipe)
    assert plan.layout.world_size == nodes * devices
    assert plan.batch.data_parallel_size * taken == plan.layout.world_size


@pytest.mark.parametrize("context", [3, Context(size=3)])
def test_a_sequence_is_cut_into_equal_parts(context):
    """Context ranks that do not divide the tokens of a sequence are refused where they are written."""
    recipe = recipe_of(
        devices=6,
        global_batch_size=6,
        sequence_length=1024,
        parallel=Parallel(context=context),
        launch=Launch(script_applies=DECLARED),
    )
    problem = only(refusal_of(recipe), "parallel-not-dividing")
    assert problem.path == ("parallel.context" if context == 3 else "parallel.context.size")
    assert "does not divide the 1024 tokens of `sequence_length`" in problem.message


def test_automatic_axes_are_one():
    """auto, and parallel: auto, leave all devices to data parallelism."""
    automatic = layout_of(tensor="auto", pipeline="auto", context="auto", expert="auto")
    assert automatic == layout_of()
    assert plan_of(parallel="auto").layout.tensor_parallel_size == 1


def test_a_context_may_be_a_mapping():
    """{size: 2} is context 2."""
    cluster = Cluster(devices_per_node=4)
    assert layout_of(cluster, context=Context(size=2)).context_parallel_size == 2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (DataParallel(), ("ddp", None, None)),
        (DataParallel(strategy="zero"), ("zero", 2, None)),
        (DataParallel(strategy="zero", stage=0), ("zero", 0, None)),
        (DataParallel(strategy="zero", stage=3), ("zero", 3, None)),
        (DataParallel(strategy="fsdp"), ("fsdp", 3, 2)),
        (DataParallel(strategy="fsdp", stage=2, version=1), ("fsdp", 2, 1)),
    ],
)
def test_strategies_and_stages(data, expected):
    """ZeRO is stage 2 and FSDP stage 3 of version 2 where nothing is written."""
    found = layout_of(data=data)
    assert (found.data_strategy, found.zero_stage, found.fsdp_version) == expected


def test_offload_belongs_to_zero():
    """Offload is kept with zero, and without effect otherwise."""
    assert layout_of(data=DataParallel(strategy="zero", offload="optimizer")).offload == "optimizer"
    assert layout_of(data=DataParallel(strategy="fsdp", offload="optimizer")).offload == "none"


@pytest.mark.parametrize("stage", [0, 1])
def test_fsdp_has_stages_2_and_3(stage):
    """FSDP shards gradients and optimizer states, or parameters too."""
    parallel = Parallel(data=DataParallel(strategy="fsdp", stage=stage))
    assert "bad-choice" in codes(refusal_of(parallel=parallel, launch=Launch(script_applies=DECLARED)))


@pytest.mark.parametrize(("expert", "fits"), [(1, True), (2, True), (8, True), (3, False), (16, False)])
def test_experts_divide_data_times_context(expert, fits):
    """16 ranks / tensor 2 = 8 ranks of data x context, however context cuts them."""
    recipe = recipe_of(
        nodes=2,
        devices=8,
        parallel=Parallel(tensor=2, context=2, expert=expert),
        launch=Launch(script_applies=DECLARED),
    )
    if fits:
        assert plan_of(recipe).layout.expert_parallel_size == expert
    else:
        problem = only(refusal_of(recipe), "parallel-not-dividing")
        assert problem.path == "parallel.expert"
        assert problem.because == ("8 = world_size 16 / (tensor 2 x pipeline 1)",)


def test_listed_devices_count():
    """devices: [0, 2, 3] is three devices of each node, in either spelling."""
    listed = layout_of(Cluster(nodes=2, devices=(0, 2, 3)))
    assert (listed.devices_per_node, listed.world_size, listed.devices) == (3, 6, (0, 2, 3))
    assert layout_of(Cluster(devices=(0, 1), devices_per_node=2)).world_size == 2
    assert layout_of(Cluster()).world_size == 1


@pytest.mark.parametrize("cluster", [Cluster(devices=(0, 1), devices_per_node=4), Cluster(devices=(0, 0, 1))])
def test_devices_that_contradict_themselves(cluster):
    """A list and a number that differ, and a device listed twice, are ambiguous."""
    assert codes(refusal_of(recipe_of(cluster=cluster))) == ["ambiguous-devices"]


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_of_the_catalog_plans(name):
    """Each has its backend, and computes in bf16 unless it is a CPU."""
    plan = plan_of(device=name)
    assert (
        plan.layout.backend
        == {"cpu": "gloo", "cuda": "nccl", "rocm": "nccl", "hpu": "hccl"}[DEVICES[name].kind]
    )
    assert plan.precision.compute == ("fp32" if name == "cpu" else "bf16")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("h100", "`h100-pcie-80gb`, `h100-sxm-80gb` or `h100-sxm-96gb-hbm2e`"),
        ("H100_SXM", "`h100-sxm-80gb` or `h100-sxm-96gb-hbm2e`"),
        ("a100-sxm", "`a100-sxm-40gb` or `a100-sxm-80gb`"),
        ("rtx-4080", "`rtx-3090`, `rtx-4090` or `rtx-5090`"),
        ("gaudi4", "`gaudi3` or `gaudi2`"),
    ],
)
def test_unknown_devices_have_near_misses(name, near):
    """A name that is not in the catalog is refused with what may have been meant."""
    problem = only(refusal_of(device=name), "unknown-device")
    assert problem.hint == f"did you mean {near}"


def test_a_device_like_no_other_gets_the_whole_list():
    """Nothing near: the hint lists the catalog."""
    problem = only(refusal_of(device="zx81"), "unknown-device")
    assert all(f"`{name}`" in problem.hint for name in DEVICES)


def test_backends_run_on_their_devices():
    """The gloo backend runs everywhere, nccl not on a CPU; a device left out is a CPU, and the hint says so."""
    assert plan_of(recipe_of(cluster=Cluster(device="a10g", backend="gloo"))).layout.backend == "gloo"
    assert plan_of(recipe_of(cluster=Cluster(device="mi300x", backend="rccl"))).layout.backend == "rccl"
    silent = only(refusal_of(recipe_of(cluster=Cluster(backend="nccl"))), "bad-choice")
    assert silent.hint == "write cluster.device, which is cpu when absent"
    written = only(refusal_of(recipe_of(cluster=Cluster(device="cpu", backend="hccl"))), "bad-choice")
    assert written.hint == "drop cluster.backend"


def test_a_range_of_nodes_counts_as_its_upper_end():
    """6..8 is planned on 8."""
    plan = plan_of(recipe_of(cluster=Cluster(nodes="6..8", devices_per_node=4)))
    assert (plan.layout.num_nodes, plan.layout.world_size) == (8, 32)
    assert codes(plan) == ["not-yet-used"]


def test_groups_count_as_all_their_nodes_with_the_devices_of_the_smallest():
    """2 nodes of 8 and 1 of 4 are planned as 3 x 4."""
    groups = (
        Group(nodes=2, devices_per_node=8, device="h100-sxm-80gb"),
        Group(nodes=1, devices_per_node=4, device="a100-sxm-80gb"),
    )
    layout = plan_of(recipe_of(global_batch_size=12, cluster=Cluster(groups=groups))).layout
    assert (layout.num_nodes, layout.devices_per_node, layout.device) == (2 + 1, min(8, 4), "h100-sxm-80gb")


def test_models_must_fit_their_axes():
    """12 heads are not cut into 8, nor 12 layers into 16, nor do 8 Ulysses ranks get whole heads."""
    declared = Launch(script_applies=DECLARED)
    tensor = refusal_of(devices=8, parallel=Parallel(tensor=8), launch=declared)
    pipeline = refusal_of(devices=16, parallel=Parallel(pipeline=16), launch=declared)
    ulysses = Parallel(context=Context(size=8, algorithm="ulysses"))
    assert [p.path for p in tensor.problems] == ["parallel.tensor"]
    assert codes(tensor) == ["heads-not-dividing"]
    assert codes(pipeline) == ["parallel-not-dividing"]
    assert pipeline.problems[0].message == "`parallel.pipeline: 16` is more than the 12 layers of the model"
    assert [
        p.path
        for p in refusal_of(devices=8, parallel=ulysses, launch=declared).problems
        if p.severity == "error"
    ] == ["parallel.context.size"]
    ring = Parallel(context=Context(size=8))
    assert codes(plan_of(devices=8, parallel=ring, launch=declared)) == []


@pytest.mark.parametrize(
    ("layers", "pipeline", "virtual", "share"),
    [
        pytest.param(70, 12, 1, "5 on the first and the last stage, 6 on each other", id="BLOOM-176B"),
        pytest.param(126, 16, 1, "7 on the first and the last stage, 8 on each other", id="Llama 3 405B"),
        pytest.param(
            126, 16, 8, "0 on the first and the last piece, 1 on each other", id="Llama 3 in pieces"
        ),
        pytest.param(61, 16, 1, "3 or 4 on a stage", id="DeepSeek-V3"),
        pytest.param(80, 4, 5, None, id="Llama 2 70B"),
    ],
)
def test_layers_need_not_divide(layers, pipeline, virtual, share):
    """Published pipelines have stages of unlike depth: they are planned, and a note says what memory counts.

    Source: bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml; arXiv:2407.21783, section 3.3.2; arXiv:2412.19437.
    """
    plan = plan_of(
        devices=pipeline,
        parallel=Parallel(pipeline=pipeline, virtual_pipeline=virtual),
        launch=Launch(script_applies=(*DECLARED, "virtual_pipeline")),
        model=Model(num_layers=layers),
    )
    if share is None:
        assert codes(plan) == []
        return
    note = only(plan, "parallel-not-dividing")
    assert note.severity == "note"
    assert note.message.endswith(f"does not divide the {layers} layers of the model: memory counts {share}")


def test_more_pieces_than_layers():
    """A stage of nothing is refused; two pieces more are the two ends, embeddings and loss."""
    declared = Launch(script_applies=(*DECLARED, "virtual_pipeline"))
    parallel = Parallel(pipeline=4, virtual_pipeline=8)
    problem = only(
        refusal_of(devices=4, parallel=parallel, launch=declared, model=Model(num_layers=24)),
        "parallel-not-dividing",
    )
    assert problem.message == (
        "`parallel.pipeline: 4` x virtual_pipeline 8 = 32 is more than the 24 layers of the model"
    )
    assert problem.hint == "use at most 3"


def test_the_device_listed_twice_is_named():
    """Of 3, 0, 5, 0 it is 0."""
    problem = only(refusal_of(recipe_of(cluster=Cluster(devices=(3, 0, 5, 0)))), "ambiguous-devices")
    assert "names device 0 twice" in problem.message
    assert problem.hint == "write cluster.devices: [0, 3, 5]"
