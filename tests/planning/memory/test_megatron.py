"""Megatron's networks against golden values of its own functional tests, which are exact to the byte."""

import csv
import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.planning.memory.counting import count_parameters
from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.pipeline import stages
from launcher.planning.memory.setting import Formats, Layout, Setting

GIB = 2**30
BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"

GPT = Network(
    kind="decoder",
    implementation="megatron",
    hidden_size=512,
    num_layers=12,
    num_attention_heads=8,
    num_key_value_heads=8,
    head_dim=64,
    intermediate_size=2048,
    vocab_size=50304,
    max_positions=1024,
    dropout=0.1,
)
SETTING = Setting(
    engine="megatron",
    micro_batch_size=4,
    sequence_length=1024,
    attention="eager",
    workspace_bytes=68 * 2**20,
    formats=Formats(compute="bf16", parameter_bytes=2, gradient_bytes=4, master_bytes=4),
    layout=Layout(data=8, strategy="zero", zero_stage=1),
)


@pytest.fixture(scope="module")
def golden():
    """The table of golden values by row, and the module that maps it."""
    sys.path.insert(0, str(BENCHMARKS))
    module = importlib.import_module("published.megatron_lm_golden")
    sys.path.remove(str(BENCHMARKS))
    path = BENCHMARKS / "published" / "megatron_lm_golden.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return module, {row["row_id"]: row for row in csv.DictReader(file)}


PEAKS = {
    "gpt-gpt3_mcore_te_tp1_pp1_dist_optimizer_no_mmap_bin_files-a100-dev": 0.001,
    "gpt-gpt3_mcore_te_tp1_pp1_dist_optimizer_fim_dataset_1node-gb200-dev": 0.002,
    "gpt-gpt3_mcore_tp1_pp1_dist_optimizer_overlap_grad_reduce_param_gather-a100-dev": 0.001,
    "gpt-gpt3_mcore_te_tp1_pp4_vp1_dist_optimizer_overlap_grad_reduce-a100-dev": 0.003,
    "gpt-gpt3_mcore_te_tp1_pp4_vp1_tunable_overlap-unknown-lts": 0.003,
    "gpt-gpt3_mcore_te_tp1_pp4_vp1_uneven_pipeline-h100-dev": 0.01,
    "gpt-gpt3_mcore_te_tp1_pp4_vp2_account_for_embedding_loss_in_pipeline_split-h100-dev": 0.005,
    "gpt-gpt3_mcore_te_tp2_pp2_cp2-h100-dev": 0.015,
    "gpt-gpt3_mcore_te_tp2_pp2_cross_entropy_loss_fusion-h100-dev": 0.01,
    "gpt-gpt3_mcore_te_tp2_pp2_mla-h100-dev": 0.03,
    "gpt-gpt3_mcore_te_tp4_pp1_qk_layernorm_test_mode-a100-dev": 0.01,
    "gpt-gpt3_mcore_tp2_pp2_uninstall_te-a100-dev": 0.005,
    "gpt-gpt3_mcore_tp1_pp4_resume_torch_dist-unknown-lts": 0.005,
    "gpt-gpt3_7b_tp4_pp1_memory_speed-h100-dev": 0.001,
    "gpt-gpt3_7b_tp1_pp4_memory_speed-a100-dev": 0.003,
    "gpt-gpt3_15b_8t_release-a100-lts": 0.005,
    "bert-bert_mcore_tp1_pp2-h100-dev": 0.005,
    "t5-t5_11b_mcore_tp4_pp1-h100-dev": 0.01,
    "moe-gpt3_mcore_te_tp2_pp1_te_8experts2parallel_dist_optimizer-a100-dev": 0.03,
    "mixtral-mixtral_8x22b_tp2pp8ep8vpp1_release-h100-dev": 0.02,
    "moe-gpt3_mcore_te_tp2_pp2_ep4_etp1_selective_recompute_experimental-h100-dev": 0.04,
}


@pytest.mark.parametrize(("row", "bound"), PEAKS.items(), ids=list(PEAKS))
def test_peaks_of_functional_tests(row, bound, golden):
    """The last rank's max_memory_allocated comes out within the bound beside each test."""
    module, rows = golden
    case = module.map_row(rows[row])
    found = estimate_memory(network=case.network, setting=case.setting).stages[-1].allocated
    assert found == pytest.approx(case.measured, rel=bound)


BETWEEN_STEPS = {
    "gpt-gpt3_mcore_te_tp1_pp1_dist_optimizer_no_mmap_bin_files-a100-dev": 0.0005,
    "gpt-gpt3_mcore_te_tp4_pp1_dist_optimizer_overlap_grad_reduce_param_gather-h100-dev": 0.005,
    "gpt-gpt3_mcore_te_tp1_pp4_disable_bias_linear-a100-dev": 0.003,
    "gpt-gpt3_mcore_te_tp1_pp2_rope_embeddings-a100-dev": 0.003,
    "gpt-gpt3_7b_tp4_pp1_memory_speed-a100-dev": 0.001,
    "gpt-gpt3_15b_8t_release-a100-lts": 0.002,
    "moe-gpt3_mcore_te_tp2_pp1_te_8experts2parallel_ddp_average_in_collective-h100-dev": 0.003,
    "moe-gpt3_mcore_tp2_pp2_ep2_etp2_te_4experts2parallel-unknown-lts": 0.003,
    "mixtral-mixtral_8x7b_alltoall_tp2pp4ep4_release-a100-lts": 0.005,
    "t5-t5_11b_mcore_tp4_pp1-a100-dev": 0.005,
    "bert-bert_mcore_tp1_pp2-h100-dev": 0.002,
}


@pytest.mark.parametrize(("row", "bound"), BETWEEN_STEPS.items(), ids=list(BETWEEN_STEPS))
def test_what_stays_between_steps(row, bound, golden):
    """Parameters, gradients, masters, states, buffers and workspaces are what torch counts when nothing runs."""
    module, rows = golden
    case = module.map_row(rows[row])
    parts = estimate_memory(network=case.network, setting=case.setting).stages[-1].components
    names = (
        "parameters",
        "gradients",
        "master_weights",
        "optimizer_states",
        "communication_buffers",
        "workspaces",
    )
    assert sum(parts[name] for name in names) == pytest.approx(float(rows[row]["allocated_bytes"]), rel=bound)


def test_score_matrices_are_what_flash_attention_saves(golden):
    """Without them 1.827 GiB go: 5 a s t L bytes (1.875 GiB), less logsumexp and flash-attn's second output."""
    _, rows = golden
    measured = float(
        rows["gpt-gpt3_mcore_te_tp1_pp1_dist_optimizer_no_mmap_bin_files-a100-dev"]["max_allocated_bytes"]
    ) - float(
        rows["gpt-gpt3_mcore_te_tp1_pp1_resume_torch_dist_dist_optimizer_no_mmap_bin_files-a100-dev"][
            "max_allocated_bytes"
        ]
    )
    flash = replace(SETTING, attention="flash")
    ours = (
        estimate_memory(network=GPT, setting=SETTING).allocated.expected
        - estimate_memory(network=GPT, setting=flash).allocated.expected
    )
    scores = 5 * 8 * 1024 * 4096 * 12
    assert scores / GIB == pytest.approx(1.875)
    assert measured / GIB == pytest.approx(1.827, abs=0.001)
    assert ours == pytest.approx(measured, rel=0.001)
    assert ours == scores - 12 * 4096 * (4 * 8 + 2 * 512)


def test_parameters_are_counted_exactly():
    """By hand: 12 h^2 + 13 h a layer, embeddings, positions, final norm."""
    parts = KINDS["decoder"](GPT, SETTING)
    total = sum(part.repeat * weights.count for part in parts for weights in part.weights if not weights.tied)
    h = 512
    assert total == 12 * (12 * h * h + 13 * h) + 50304 * h + 1024 * h + 2 * h


def test_experts_are_divided_over_expert_ranks():
    """Eight experts over four ranks: two each, and the dense parameters whole."""
    network = replace(
        GPT, kind="moe", num_experts=8, num_experts_per_token=2, moe_intermediate_size=1024, bias=False
    )
    alone = estimate_memory(network=network, setting=replace(SETTING, layout=Layout(data=4)))
    spread = estimate_memory(network=network, setting=replace(SETTING, layout=Layout(data=4, expert=4)))
    gone = alone.components["parameters"] - spread.components["parameters"]
    assert gone == 2 * 12 * 6 * (2 * 512 * 1024)


def pieces_in_flight(layout, *, layers=12, micro_batches=8):
    """Copies of the layer on every stage that are in flight."""
    network = replace(GPT, num_layers=layers)
    setting = replace(SETTING, layout=layout, gradient_accumulation_steps=micro_batches)
    found = []
    for stretches in stages(KINDS["decoder"](network, setting), setting):
        each = [stretch for stretch in stretches if stretch.part.name == "layer"]
        found.append(sum(stretch.passing + stretch.waiting for stretch in each))
    return found


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout(pipeline=4), [12, 9, 6, 3]),
        (Layout(pipeline=4, virtual_pipeline=3), [15, 13, 11, 9]),
        (Layout(pipeline=4, virtual_pipeline=3, micro_batch_group=5), [17, 15, 13, 11]),
        (Layout(pipeline=4, piece_layers=(2, 4, 4, 2)), [8, 12, 8, 2]),
    ],
    ids=["plain", "interleaved", "groups of five", "uneven"],
)
def test_layers_in_flight(layout, expected):
    """One forward, one backward; interleaved pieces take turns in groups of micro-batches."""
    assert pieces_in_flight(layout) == expected


def test_a_piece_with_the_loss_alone_keeps_other_pieces_in_flight():
    """Embedding and loss counted as layers: the last stage's second piece has none, its first has four in flight."""
    layout = Layout(pipeline=4, virtual_pipeline=2, piece_layers=(0, 1, 1, 1, 1, 1, 1, 0))
    assert pieces_in_flight(layout, layers=6)[-1] == 4


@pytest.mark.parametrize("module", ["core_attn", "layernorm", "mlp"])
def test_recomputed_modules_are_given_up(module):
    """Every module that is computed again makes a layer keep less."""
    kept = estimate_memory(network=GPT, setting=SETTING)
    again = replace(SETTING, checkpointing="selective", recomputed_modules=(module,))
    assert (
        estimate_memory(network=GPT, setting=again).components["activations"] < kept.components["activations"]
    )


def test_half_precision_copies_gradients_at_the_step_only():
    """fp16 gradients are 2 bytes through forward and backward pass; 4 more are there when the optimizer works."""
    half = Formats(compute="fp16", parameter_bytes=2, gradient_bytes=2, main_gradient_bytes=4, master_bytes=4)
    plain = replace(half, main_gradient_bytes=0)
    layout = Layout(data=1)
    with_copies, without = (
        estimate_memory(network=GPT, setting=replace(SETTING, formats=formats, layout=layout))
        .stages[0]
        .phases
        for formats in (half, plain)
    )
    parameters = (
        estimate_memory(network=GPT, setting=replace(SETTING, layout=layout)).components["parameters"] // 2
    )
    assert with_copies["forward-end"] == without["forward-end"]
    assert with_copies["optimizer-step"] - without["optimizer-step"] == 4 * parameters


def test_biases_follow_a_named_family():
    """Llama has no biases under Megatron's kernels either, GPT-NeoX has all; without a name Megatron's own hold: all."""
    network = replace(GPT, norm="rmsnorm", gated_mlp=True, activation="silu", position="rotary")
    counts = {
        name: count_parameters(replace(network, family=family, bias=bias)).total
        for name, family, bias in (
            ("llama", "llama", None),
            ("without", None, False),
            ("gpt_neox", "gpt_neox", None),
            ("with", None, None),
        )
    }
    assert counts["llama"] == counts["without"] < counts["with"] == counts["gpt_neox"]
    heads_and_mlp = 3 * 512 + 512 + 2 * 2048 + 512
    assert counts["with"] - counts["without"] == 12 * heads_and_mlp


def test_context_ranks_share_what_the_data_loader_makes():
    """Tokens and the causal mask of one micro-batch are cut along the context.

    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/utils.py:get_batch_on_this_cp_rank.
    """
    network = replace(GPT, dropout=0.0)
    first, shared = (
        KINDS["decoder"](network, replace(SETTING, layout=Layout(context=size)))[0].saved for size in (1, 4)
    )
    assert shared * 4 == first == 4 * (28 * 1024 + 1024 * 1024)
