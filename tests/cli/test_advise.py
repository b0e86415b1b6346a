"""`batchwright advise`, whole: which laws speak for which recipe, what a run's noise says, and what is neither."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import load_recipe
from launcher.api import plan
from launcher.cli.main import main

ROOT = Path(__file__).parents[2]
MESSAGES = Path(__file__).with_name("messages")
SMALL = {"global_batch_size": 256, "sequence_length": 1024, "hidden_size": 768}
LLAMA = [
    *("--set", "model.preset=llama-2-7b", "--set", "hidden_size=4096", "--set", "sequence_length=4096"),
    *("--set", "optimizer.learning_rate=3e-4", "--tokens", "2T"),
]


def advise(*words):
    out, err = io.StringIO(), io.StringIO()
    code = main(["advise", *map(str, words)], environ={}, stdout=out, stderr=err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe of keys and names its file."""

    def write(**keys):
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps({**SMALL, "cluster": {"devices_per_node": 1, "device": "cpu"}, **keys}))
        return path

    return write


def answers(*words):
    code, out, err = advise(*words, "--json")
    assert code == 0, err
    advice = json.loads(out)
    return advice, {answer["law"]["name"]: answer for answer in advice["answers"]}


def test_laws_side_by_side(recipe):
    """Of GPT-2 small on 2.5 B tokens five laws speak, each with its unit, its meaning and its distance from its fit."""
    advice, laws = answers(recipe(), "--tokens", "2.5B")
    assert laws["DeepSeek LLM"]["standing"] == "within"
    flops = 2.5e9 * (72 * 12 * 768**2 + 12 * 12 * 768 * 1024)
    assert laws["DeepSeek LLM"]["inputs"]["C"] == flops
    assert laws["DeepSeek LLM"]["batch_sequences"] == pytest.approx(0.2920 * flops**0.3271 / 1024)
    assert laws["Step Law"]["standing"] == "extrapolated"
    assert laws["Step Law"]["beyond_axis"] == "N"
    assert laws["Step Law"]["beyond"] == pytest.approx(214_663_680 / 84_934_656)
    assert laws["nanochat"]["batch_tokens"] == 2**19
    assert laws["nanochat"]["learning_rate_factor"] == 1
    assert laws["critical by data"]["law"]["gives"] == "critical batch"
    assert laws["critical by data"]["batch_tokens"] == pytest.approx(512 * 93.1968 * 125**0.46828)
    _, more = answers(recipe(), "--tokens", "9.643B")
    assert more["nanochat"]["learning_rate_factor"] == pytest.approx(2**0.5)
    assert more["nanochat"]["weight_decay_factor"] == pytest.approx(0.16954, abs=5e-6)
    assert laws["GPT-3 by width"]["learning_rate"] == pytest.approx(6e-4)
    assert laws["Power Lines"]["standing"] == "lacks"
    assert advice["batch"]["low_law"] == "Step Law"
    assert advice["batch"]["high_law"] == "nanochat"
    assert advice["asked"]["batch_sequences"] == 256


def test_tokens_of_each_parameter_are_read_at_a_glance(recipe):
    """Tokens over parameters have three digits, or are whole."""
    for tokens, shown in (("2.5B", "29.4 for each of N"), ("2.5T", "29,434 for each of N")):
        _, out, _ = advise(recipe(), "--tokens", tokens)
        assert shown in out


def test_nothing_is_extrapolated_silently(recipe):
    """Of a 7 B model on 2 T tokens no fit reaches within ten times: nothing is shown, until --extrapolate marks it."""
    _, laws = answers(recipe(), *LLAMA)
    for name in ("DeepSeek LLM", "Step Law", "nanochat", "critical by data"):
        assert laws[name]["standing"] == "not-shown"
        assert laws[name]["batch_tokens"] is None
        assert laws[name]["learning_rate"] is None
    advice, laws = answers(recipe(), *LLAMA, "--extrapolate", "--loss", "2")
    assert laws["DeepSeek LLM"]["standing"] == "extrapolated"
    # 32 layers where DeepSeek's 7B has 30
    assert laws["DeepSeek LLM"]["batch_sequences"] == pytest.approx(2300, abs=1)
    assert laws["Step Law"]["batch_tokens"] == pytest.approx(6.13e6, rel=1e-3)
    assert laws["critical by loss"]["batch_tokens"] == pytest.approx(7.37e6, rel=1e-3)
    assert advice["batch"]["factor"] == pytest.approx(1.54, abs=0.01)
    code, out, _ = advise(recipe(), *LLAMA)
    assert code == 0
    assert "--extrapolate shows 4 that are more than x10 beyond" in out
    assert "x4,510 beyond its fit, C 1e17-2e19 (training FLOPs without embeddings)" in out


@pytest.mark.parametrize(
    ("dims", "batch", "sequences", "rate"),
    [
        ({"hidden_size": 4096, "num_layers": 30, "num_attention_heads": 32, "intermediate_size": 11008}, 2304, 2252, 4.246e-4),
        (
            {
                "hidden_size": 8192, "num_layers": 95, "num_attention_heads": 64, "num_key_value_heads": 8,
                "intermediate_size": 22016,
            },
            4608,
            5043,
            3.120e-4,
        ),
    ],
    ids=["7B", "67B"],
)  # fmt: skip
def test_deepseeks_own_models(recipe, dims, batch, sequences, rate):
    """DeepSeek LLM as trained (deepseek-ai/DeepSeek-LLM@6712a86 README), beside what its law says (our arithmetic)."""
    hidden = dims.pop("hidden_size")
    style = {"norm": "rmsnorm", "gated_mlp": True, "position": "rotary", "tie_word_embeddings": False}
    path = recipe(
        global_batch_size=batch,
        sequence_length=4096,
        hidden_size=hidden,
        model={**dims, **style, "vocab_size": 102400, "family": "llama", "activation": "silu"},
        optimizer={"learning_rate": rate},
    )
    advice, laws = answers(path, "--tokens", "2T", "--extrapolate")
    found = laws["DeepSeek LLM"]
    assert (round(found["batch_sequences"]), found["learning_rate"]) == (
        sequences,
        pytest.approx(rate, rel=2e-4),
    )
    assert advice["asked"]["batch_sequences"] == batch
    billions = {30: 6.9e9, 95: 67e9}[dims["num_layers"]]
    assert advice["asked"]["parameters"]["total"] == pytest.approx(billions, rel=0.02)


def test_the_text_fits_a_screen(recipe):
    """At most 100 columns, 40 lines, every law of the table named with its range, and its words explained."""
    code, out, _ = advise(recipe(), "--tokens", "2.5B", "--loss", "3")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines[1:])) <= 100  # the first one names the file
    assert len(lines) <= 40
    assert lines[0].endswith("nothing is changed")
    assert "C 1e17-2e19: inside" in out
    assert "best batch: x 3.89, from 134.8 K tokens (Step Law) to 524.3 K tokens (nanochat)" in out
    code, out, _ = advise(recipe(), "--tokens", "2.5B", "--explain")
    assert max(map(len, out.splitlines()[1:])) <= 100
    assert "arXiv:2503.04715: 1,911 dense decoders, AdamW, sequences of 2,048" in out


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"model": {"kind": "resnet"}, "hidden_size": None, "sequence_length": None}, "a resnet"),
        ({"model": {"kind": "vit"}, "sequence_length": None}, "a vit"),
        ({"model": {"kind": "lstm", "vocab_size": 100}}, "an LSTM"),
        ({"model": {"kind": "encoder"}}, "an encoder"),
        (
            {"model": {"kind": "encoder-decoder"}, "sequence_length": {"input": 512, "target": 128}},
            "an encoder-decoder",
        ),
    ],
)
def test_other_models_are_told_so(recipe, keys, words):
    """Of images, recurrent models and encoders every law says that it is for decoders, and no number is shown."""
    path = recipe(**keys)
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if v is not None}))
    advice, laws = answers(path, "--tokens", "2.5B", "--extrapolate")
    assert {law["standing"] for law in laws.values()} == {"does-not-apply"}
    assert advice["batch"] is advice["learning_rate"] is None
    code, out, _ = advise(path)
    assert code == 0
    assert f"for decoder language models; this is {words}" in out


def test_adapters_and_optimizers(recipe):
    """An adapter leaves only the fine-tuning rule; SGD leaves nothing, Muon what nanochat trains with."""
    tuned = {"adapter": {"kind": "lora", "targets": ["q_proj"]}}
    _, laws = answers(recipe(model=tuned), "--tokens", "2.5B")
    assert [name for name, law in laws.items() if law["standing"] != "does-not-apply"] == ["LLaMA-Factory"]
    _, laws = answers(recipe(optimizer={"name": "sgd", "learning_rate": 0.1}), "--tokens", "2.5B")
    assert {law["why"] for law in laws.values()} == {
        "fitted with Adam or AdamW; this recipe trains with sgd",
    }
    _, laws = answers(recipe(optimizer={"name": "muon"}), "--tokens", "2.5B")
    assert [name for name, law in laws.items() if law["standing"] == "within"] == ["nanochat"]


def test_what_is_missing_is_named(recipe):
    """Without tokens, reference, loss or noise each law names what it needs."""
    _, laws = answers(recipe())
    assert laws["Step Law"]["why"] == "the tokens of the run"
    assert laws["critical by loss"]["why"] == "a training loss in nats per token (--loss 2.5)"
    assert laws["Power Lines"]["why"].startswith(
        "the tokens of the run, optimizer.reference_batch_size and the tokens"
    )
    assert "--noise-scale" in laws["surge"]["why"]
    code, out, _ = advise(recipe())
    assert code == 0
    assert "D, the tokens of the run, is not known" in out


def test_a_reference_point_is_moved(recipe):
    """Ten times the data of the reference run: 2.415 x its batch, and the weight decay of a timescale x 0.297."""
    optimizer = {"reference_learning_rate": 1e-3, "reference_batch_size": 256, "weight_decay": 0.1}
    _, laws = answers(recipe(optimizer=optimizer), "--tokens", "20B", "--reference-tokens", "2B")
    moved = laws["Power Lines"]
    assert moved["batch_tokens"] == pytest.approx(256 * 1024 * 2.415, rel=1e-3)
    # same batch and rate: tau0 = B / (eta lambda D0), and B / (eta lambda' D) = tau0 x 10 ** -0.527
    assert moved["weight_decay"] == pytest.approx(0.1 / 10 * 10**0.527)


def test_a_measured_noise_scale_moves_adams_rate(recipe):
    """At a quarter of the noise scale the recipe's rate is 0.8 of the largest, which lies at the noise scale."""
    _, laws = answers(recipe(optimizer={"learning_rate": 4e-4}), "--noise-scale", "1024")
    assert laws["surge"]["batch_sequences"] == 1024
    assert laws["surge"]["learning_rate"] == pytest.approx(5e-4)


def test_the_tokens_of_a_run(recipe):
    """D is the length of the run; passes over smaller data are told; --tokens goes before both."""
    keys = {"schedule": {"length": "1000 steps"}, "data": {"num_tokens": "26214400"}}
    advice, _ = answers(recipe(**keys))
    assert advice["asked"]["run_tokens"] == 1000 * 256 * 1024
    _, out, _ = advise(recipe(**keys))
    assert "10 passes over the data; the laws were fitted on single passes" in out
    advice, _ = answers(recipe(**keys), "--tokens", "1B")
    assert advice["asked"]["run_tokens"] == 1e9


def test_padding_is_no_data(recipe):
    """Of samples that are 300 tokens long and padded to 1,024, D is 300 each; a quarter that bears loss halves the rate."""
    data = {"num_samples": 100_000, "packing": "padded", "mean_length": 300, "loss_token_fraction": 0.25}
    advice, laws = answers(recipe(data=data))
    assert advice["asked"]["run_tokens"] == advice["asked"]["epoch_tokens"] == 100_000 * 300
    whole = 3e-4 * (256 * 1024 / 4e6) ** 0.5
    assert laws["LLaMA-Factory"]["learning_rate"] == pytest.approx(whole / 2)


def test_a_critical_batch_by_loss_has_a_fit_too(recipe):
    """230 B tokens are ten times Kaplan's data: shown and marked; one more and it is not shown."""
    _, laws = answers(recipe(), "--loss", "2.5", "--tokens", "230B")
    found = laws["critical by loss"]
    assert (found["standing"], found["beyond_axis"], found["beyond"]) == ("extrapolated", "D", 10)
    assert found["batch_tokens"] == pytest.approx(2.55e6, rel=5e-3)
    _, laws = answers(recipe(), "--loss", "2.5", "--tokens", "231B")
    assert laws["critical by loss"]["standing"] == "not-shown"


def test_stages_are_told(recipe):
    """D counts every stage with its own sequences; the row of the recipe is its top level, and the text says so."""
    stages = [
        {"until": "10M tokens", "global_batch_size": 32, "sequence_length": 512},
        {"global_batch_size": 256, "sequence_length": 1024},
    ]
    path = recipe(
        stages=stages,
        launch={"script": "train.py", "runtime": True},
        schedule={"clock": "tokens", "length": "20M tokens"},
    )
    advice, _ = answers(path)
    # 611 steps of 16,384 tokens pass 10 M; then 39 of 262,144 pass 20 M
    assert advice["asked"]["run_tokens"] == 611 * 32 * 512 + 39 * 256 * 1024
    assert advice["asked"]["num_stages"] == 2
    assert "2 stages; this recipe's row is what is written at its top level" in advise(path)[1]


def test_a_mixture_counts_active_parameters(recipe):
    """Of a mixture N is what one token meets, and a remark says that the fit was on dense models."""
    model = {"kind": "moe", "num_experts": 8, "num_experts_per_token": 2, "moe_intermediate_size": 1024}
    advice, laws = answers(recipe(model=model), "--tokens", "10B")
    counts = advice["asked"]["parameters"]
    assert counts["matrices"] <= counts["non_embedding"] < counts["active"] < counts["total"]
    assert "of a mixture the active parameters are counted" in laws["Step Law"]["remarks"][-1]


def run_folder(path, *entries, **more):
    """The folder of a run of 2 ranks x micro-batch 8 with these lines of noise."""
    keys = {
        **SMALL,
        "global_batch_size": 64,
        "micro_batch_size": 8,
        "cluster": {"devices_per_node": 2, "device": "cpu"},
        "schedule": {"length": "9 steps"},
        "launch": {"script": "train.py", "runtime": True},
        **more,
    }
    path.mkdir(parents=True)
    found = plan(load_recipe(keys))
    (path / "plan.json").write_text(json.dumps(found.to_dict()))
    status = {"state": "done", "exit": 0, "started": "2026-11-22T10:00:00Z"}
    (path / "status.json").write_text(json.dumps(status))
    (path / "bundle.json").write_text("{}")
    if entries:
        (path / "noise.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


MEASURED = {
    "step": 400, "samples": 25600, "mode": "micro-batches", "tokens_per_sequence": 1000.0, "measurements": 400,
    "gradient_square": 1.0, "trace": 160.0, "noise_scale": 160.0, "low": 130.0, "high": 200.0, "unresolved": None,
}  # fmt: skip


def test_a_runs_noise_becomes_batches(tmp_path):
    """0.2, 0.5, 1, 2 and 5 noise scales rounded down to 16, and this run's 64: data and steps beside its own."""
    folder = run_folder(tmp_path / "run", MEASURED)
    code, out, err = advise(folder, "--json")
    assert code == 0, err
    report = json.loads(out)
    found = {each["global_batch_size"]: each for each in report["candidates"]}
    assert sorted(found) == [32, 64, 80, 160, 320, 800]
    assert found[64]["data"] == found[64]["steps"] == 1
    assert [found[size]["extra_data"] for size in (32, 64, 160, 800)] == [0.2, 0.4, 1, 5]
    assert found[160]["data"] == pytest.approx(2 / 1.4)
    assert found[160]["steps"] == pytest.approx(2 / 1.4 * 64 / 160)
    assert (report["noise_scale"], report["low"], report["high"]) == (160, 130, 200)
    code, out, _ = advise(folder)
    assert code == 0
    assert max(map(len, out.splitlines()[1:])) <= 100
    assert "160 sequences (95 %: 130 to 200)" in out
    assert "SGD noise, not Adam-preconditioned" in out
    assert "this run" in out


def test_a_run_in_stages_is_in_one_of_them(tmp_path):
    """Costs are beside the batch that the run had when it was measured: 32 to step 10, 64 after it."""
    stages = [{"until": "320 samples", "global_batch_size": 32}, {"global_batch_size": 64}]
    keys = {"stages": stages, "schedule": {"length": "500 steps"}}
    for step, current in ((10, 32), (11, 64), (400, 64)):
        folder = run_folder(tmp_path / str(step), {**MEASURED, "step": step}, **keys)
        report = json.loads(advise(folder, "--json")[1])
        assert [each["global_batch_size"] for each in report["candidates"] if each["data"] == 1] == [current]
        assert report["present"]["global_batch_size"] == current


def test_what_is_not_resolved_is_not_advised(tmp_path):
    """Too wide an interval, and no measurement at all, are said in words; no batch is named, and nothing is written."""
    words = "the interval is wider than a factor of 2"
    wide = {**MEASURED, "low": 10.0, "high": float("inf"), "unresolved": words}
    folder = run_folder(tmp_path / "wide", wide)
    before = sorted(folder.iterdir())
    code, out, _ = advise(folder)
    assert code == 0
    assert f"not resolved: {words}" in out
    assert "data" not in out.replace("--", "").splitlines()[-1]
    report = json.loads(advise(folder, "--json")[1], parse_constant=pytest.fail)
    assert (report["low"], report["high"], report["candidates"]) == (10, None, [])
    code, out, _ = advise(run_folder(tmp_path / "none"), "--json")
    report = json.loads(out)
    assert code == 0
    assert report["candidates"] == []
    assert report["unresolved"]
    assert sorted(folder.iterdir()) == before


def test_neither_recipe_nor_run():
    """A word that names nothing is refused with what was expected."""
    code, out, err = advise("nothing-of-that-name")
    assert (code, out) == (1, "")
    assert err == (MESSAGES / "neither-recipe-nor-run.txt").read_text()


def test_a_recipes_reader_says_what_is_wrong_with_a_recipe(tmp_path, recipe):
    """A missing file, a folder that is no run, and a recipe without a plan are refused by those who know them."""
    assert "[file-not-found]" in advise(tmp_path / "absent.yaml")[2]
    assert "[run-not-found]" in advise(tmp_path)[2]
    code, _, err = advise(recipe(hidden_size=100))
    assert code == 1
    assert "[width-not-divisible]" in err


@pytest.mark.parametrize(
    "words", [["--tokens", "3x"], ["--loss", "0"], ["--noise-scale", "inf"], ["--loss", "a"]]
)
def test_wrong_numbers_are_usage(words, recipe, capsys):
    """Amounts that make no sense are wrong usage, before anything is read."""
    assert advise(recipe(), *words)[0] == 2
    assert "usage: batchwright advise" in capsys.readouterr().err


def test_a_runs_folder_takes_no_options_of_a_recipe(tmp_path):
    """--loss with a run would be passed over; it is refused."""
    code, out, err = advise(run_folder(tmp_path / "run", MEASURED), "--loss", "2", "--extrapolate")
    assert (code, out) == (2, "")
    assert "--loss, --extrapolate are for a recipe" in err


def test_advice_imports_nothing_heavy():
    """No torch, no numpy, no engine for advice on a recipe."""
    code = (
        "import sys; from launcher.cli.main import main\n"
        "assert main(['advise', 'recipes/quickstart/three-numbers.yaml', '--tokens', '2B']) == 0\n"
        "assert not {'torch', 'numpy', 'deepspeed', 'accelerate', 'transformers', 'matplotlib'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
