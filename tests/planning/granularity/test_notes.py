"""Notes on dimensions and waves: where they stand, which come first, and that there are few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import codes, errors, only, plan_of, refusal_of

from launcher.catalog.devices import DEVICES
from launcher.planning.granularity.remarks import MEASURED, groups_of
from launcher.spec.launch import Launch
from launcher.spec.model import Model
from launcher.spec.parallel import Parallel
from launcher.spec.training import Precisions

ROUND = {
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "gated_mlp": True,
    "num_attention_heads": 32,
    "num_layers": 32,
}


def planned(model=None, device="h100-sxm-80gb", **keys):
    dims = {**ROUND, **(model or {})}
    return plan_of(
        **{"sequence_length": 4096, "hidden_size": 4096, "micro_batch_size": 1, "device": device, **keys},
        model=Model(**dims),
    )


def notes(plan):
    return [problem for problem in plan.problems if problem.code == "odd-dimension"]


@pytest.mark.parametrize(
    ("device", "group"),
    [("v100-sxm-32gb", (8, 8)), ("t4", (8, 8)), ("a100-sxm-80gb", (8, 64)), ("h100-sxm-80gb", (8, 64))],
)
def test_groups(device, group):
    """16 bytes before Ampere, 128 bytes since: 8 and 64 numbers of 16 bits.

    Source: stas00/ml-engineering@744d01e training/performance/README.md.
    """
    assert groups_of(device=DEVICES[device], element_bytes=2) == group


def test_a_published_width():
    """10922 is noted with what was measured, and 10944 is the hint: 272.7 against 398.4 TFLOPS, 46 % more.

    Source: stas00/ml-engineering@744d01e training/performance/README.md, "SwiGLU-based MLP".
    """
    (note,) = notes(planned({"intermediate_size": 10922}))
    assert note.severity == "note"
    assert "272.7" in note.because[0]
    assert "398.4" in note.because[0]
    assert note.hint == "write model.intermediate_size: 10944"
    assert round(100 * (MEASURED[10944] / MEASURED[10922] - 1)) == 46


@pytest.mark.parametrize("width", [width for width in MEASURED if width % 8 == 0])
def test_published_widths_that_run_well(width):
    """The widths that ran within 1 % of the best are multiples of 8, and a smaller group is called by its number."""
    assert MEASURED[width] > 0.99 * max(MEASURED.values())
    for note in notes(planned({"intermediate_size": width})):
        assert "no multiple of 64" in note.message
        assert "395.2" in note.because[0]


def test_the_classic_vocabulary():
    """50257 is noted, 50304 is the hint (karpathy/nanoGPT@3adf61e model.py), and 50304 is not noted."""
    (note,) = notes(planned({"vocab_size": 50257}))
    assert note.hint.startswith("write model.vocab_size: 50304")
    assert not notes(planned({"vocab_size": 50304}))


def test_odd_tokens_of_a_micro_batch():
    """1023 tokens are noted, two sequences of 1020 are not: what counts is micro-batch x sequence length."""
    (note,) = notes(planned(sequence_length=1023))
    assert "1023 tokens per micro-batch of 1, no multiple of 8" in note.message
    assert note.hint == "write sequence_length: 1024"
    assert notes(planned(sequence_length=1020))
    assert not notes(planned(sequence_length=1020, micro_batch_size=2))


def test_megatron_pads_its_vocabulary():
    """Where the implementation pads by itself there is nothing to say."""
    assert not notes(planned({"vocab_size": 50257, "implementation": "megatron"}))


def test_dimensions_of_one_tensor_rank():
    """What counts is the share of one rank: 11008 over 16 ranks is 688, a multiple of 8 and not of 64."""
    keys = {"parallel": Parallel(tensor=16), "launch": Launch(script_applies=("tensor",)), "devices": 16}
    (note,) = notes(planned(**keys))
    assert "11008` / tensor 16 = 688 is no multiple of 64" in note.message
    assert note.hint == f"write model.intermediate_size: {704 * 16}"


@pytest.mark.parametrize(
    "keys",
    [
        {"device": "cpu"},
        {"device": "mi300x"},
        {"precision": "fp32"},
        {"precision": Precisions(compute="fp8")},
    ],
)
def test_only_where_the_numbers_hold(keys):
    """No note on processors, on devices of other makers, or in formats that nothing was published for."""
    assert not notes(planned({"intermediate_size": 10922, "vocab_size": 50257}, **keys))


@given(
    hidden=st.integers(1, 40).map(lambda n: 100 * n),
    inner=st.integers(64, 20000),
    vocabulary=st.integers(100, 200000),
    device=st.sampled_from(["v100-sxm-32gb", "a100-sxm-80gb", "h100-sxm-80gb"]),
)
def test_few_notes_dearest_first(hidden, inner, vocabulary, device):
    """At most two on dimensions and one on waves, only the first with its evidence; each hint is a multiple."""
    plan = planned(
        {"intermediate_size": inner, "vocab_size": vocabulary, "num_attention_heads": 10, "num_layers": 2},
        hidden_size=hidden,
        device=device,
    )
    found = notes(plan)
    assert len(found) <= 2
    assert codes(plan).count("idle-multiprocessors") <= 1
    dimensions = [note for note in found if note.path != "sequence_length"]
    assert [bool(note.because) for note in dimensions] == [True, False][: len(dimensions)]
    for note in found:
        if note.hint.startswith("write ") and "head" not in note.path:
            better = int(note.hint.partition(": ")[2].partition(";")[0])
            assert better % (64 if DEVICES[device].has_bf16 else 8) == 0


def test_a_last_wave_that_is_nearly_empty():
    """1024 tokens by 3072 are 96 tiles on 132 multiprocessors: 27 % idle, and a micro-batch that idles less is named."""
    keys = {"sequence_length": 1024, "hidden_size": 768, "devices": 8, "device": "h100-sxm-80gb"}
    model = Model(vocab_size=50304)
    note = only(plan_of(**keys, micro_batch_size=1, model=model), "idle-multiprocessors")
    assert "96 tiles of 128 x 256: 1 wave on 132 multiprocessors, 27 % idle" in note.message
    assert pytest.approx(0.27, abs=0.005) == 1 - 1024 * 3072 / (132 * 128 * 256)
    assert note.hint == "micro_batch_size: 4 idles 3 %, if it fits"
    assert "idle-multiprocessors" not in codes(plan_of(**keys, micro_batch_size=4, model=model))


def test_no_waves_without_a_count():
    """A device whose multiprocessors no source prints gets no note on waves."""
    keys = {
        "sequence_length": 1024,
        "hidden_size": 768,
        "micro_batch_size": 1,
        "model": Model(vocab_size=50304),
    }
    assert DEVICES["l4"].multiprocessors is None
    assert "idle-multiprocessors" not in codes(plan_of(**keys, device="l4"))


@pytest.mark.parametrize(
    "kind", ["lstm", "gru", "rnn", "mlp", "bag", "resnet", "vit", "moe", "encoder-decoder", "module"]
)
def test_every_kind_can_be_asked(kind):
    """Kinds with large products are looked at, others are left alone; an odd width is found where there is one."""
    from launcher.spec.recipe import EncoderDecoderLength

    extra = {"moe": {"num_experts": 4}, "module": {"module": "a:b"}}.get(kind, {})
    length = EncoderDecoderLength(input=128, target=64) if kind == "encoder-decoder" else 128
    plan = plan_of(
        model=Model(kind=kind, num_attention_heads=10, num_layers=2, intermediate_size=2730, **extra),
        hidden_size=100 * 10,
        sequence_length=length,
        device="a100-sxm-40gb",
        micro_batch_size=16,
    )
    assert bool(notes(plan)) == (kind not in {"resnet", "module"})


def test_more_ranks_than_tokens():
    """7 tokens over 16 context ranks are refused, and no wave is counted of none."""
    refusal = refusal_of(
        device="h100-sxm-80gb",
        devices=16,
        sequence_length=7,
        parallel=Parallel(context=16),
        launch=Launch(script_applies=("context",)),
        micro_batch_size=1,
        global_batch_size=1,
    )
    assert errors(refusal) == ["parallel-not-dividing"]
