"""`batchwright sharpness` as a person meets it: a checkpoint of the recipe that ships, measured in a child process."""

import io
import json
import shutil
from pathlib import Path

import pytest

from launcher.cli.main import main

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = ROOT / "tests" / "measuring" / "messages"
SMALL = [
    f"--set={word}"
    for word in (
        *("hidden_size=64", "sequence_length=16", "micro_batch_size=4", "global_batch_size=4"),
        *("model.num_layers=2", "model.vocab_size=64", "schedule.length=100 steps", "schedule.decay=linear"),
    )
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recipe, and a checkpoint after twenty steps of it with its optimizer."""
    import torch

    place = tmp_path_factory.mktemp("sharp")
    for name in ("small-gpt.yaml", "small_gpt.py"):
        shutil.copy(ROOT / "recipes" / "module" / name, place)
    names = {}
    exec(compile((place / "small_gpt.py").read_text(), "small_gpt.py", "exec"), names)
    torch.manual_seed(0)
    module, _ = names["build"](
        micro_batch_size=4, sequence_length=16, hidden_size=64, num_layers=2, vocab_size=64
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-4, betas=(0.9, 0.95))
    for _ in range(20):
        tokens = torch.randint(0, 64, (4, 17))
        loss = module(tokens[:, :-1], tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = {"model": module.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "run": {"samples": 80, "steps": 20}}, place / "step.pt")
    torch.save(module.state_dict(), place / "plain.pt")
    torch.save((tokens[:, :-1].clone(), tokens[:, 1:].clone()), place / "batch.pt")
    torch.save({"model": torch.nn.Linear(2, 2).state_dict()}, place / "other.pt")
    return place


def run(folder, *words, checkpoint="step.pt"):
    out, err = io.StringIO(), io.StringIO()
    words = ["sharpness", "small-gpt.yaml", *SMALL, "--checkpoint", checkpoint, *words]
    environ = {"PATH": "", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return main(words, environ=environ, stdout=out, stderr=err), out.getvalue(), err.getvalue()


def whole_hessian_of(folder):
    """The module, its loss, and nothing of ours: one product with the whole preconditioned Hessian's best vector."""
    import torch

    names = {}
    exec(compile((folder / "small_gpt.py").read_text(), "small_gpt.py", "exec"), names)
    module, _ = names["build"](
        micro_batch_size=4, sequence_length=16, hidden_size=64, num_layers=2, vocab_size=64
    )
    module.load_state_dict(torch.load(folder / "plain.pt"))
    x, y = torch.load(folder / "batch.pt")
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = module(x, y)
        parameters = list(module.parameters())
        first = torch.autograd.grad(loss, parameters, create_graph=True)
        v = [torch.randn_like(each) for each in parameters]
        for _ in range(60):  # plain power iteration, in the plainest words
            size = sum(each.square().sum() for each in v).sqrt()
            v = [each / size for each in v]
            v_next = torch.autograd.grad(first, parameters, v, retain_graph=True)
            value = float(sum((a * b).sum() for a, b in zip(v, v_next, strict=True)))
            v = v_next
    return float(loss.detach()), value


def test_a_checkpoint_of_adamw(folder, monkeypatch):
    """All numbers, the learning rate that the plan has there, and the limits for it with their sources."""
    monkeypatch.chdir(folder)
    code, out, err = run(folder, "--batch", "batch.pt", "--json", "--iterations", "60")
    assert (code, err) == (0, "")
    found = json.loads(out)
    loss, largest = whole_hessian_of(folder)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["hessian"]["value"] == pytest.approx(largest, rel=0.01)
    assert found["hessian"]["converged"]
    assert found["samples"] == 80
    rate = 6e-4 * (1 - 20 / 100)  # linear to zero over 100 steps of 4
    assert found["learning_rate"] == pytest.approx(rate, rel=1e-9)
    assert found["learning_rate_from"] == "of the plan at 80 samples"
    assert {limit["of"]: (limit["value"], limit["source"]) for limit in found["limits"]} == {
        "preconditioned": (pytest.approx(38 / rate, rel=1e-9), "arXiv:2207.14484"),
        "critical": (pytest.approx(2 / rate, rel=1e-9), "arXiv:2601.16979"),
    }
    assert found["preconditioned"]["value"] > found["hessian"]["value"] > 0
    assert found["critical"]["own"]
    assert found["critical"]["sharpness"] > 0
    assert found["rise"]["value"] > 0
    assert found["batch"] == {
        "from": str(folder / "batch.pt"),
        "shapes": [[4, 16], [4, 16]],
        "constant": False,
    }


def test_what_a_person_reads(folder, monkeypatch):
    """At most 100 columns; each number beside its limit; no word of what it is good for."""
    monkeypatch.chdir(folder)
    code, out, err = run(folder, "--batch", "batch.pt")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("small_gpt:build at step.pt   ")
    assert "80 samples seen" in lines[0]
    assert any(
        line.startswith("the same, preconditioned ") and "38 / eta, beta1 0.9" in line for line in lines
    )
    assert any(line.startswith("critical sharpness ") and line.endswith("arXiv:2601.16979") for line in lines)
    assert "update  the step that AdamW takes next" in lines
    assert not any(word in out.lower() for word in ("flat", "generali", "better", "minim"))


def test_a_plain_state_dict_and_the_functions_own_batch(folder, monkeypatch):
    """What is missing is said: the optimizer, where the run stands, and a batch that holds something."""
    monkeypatch.chdir(folder)
    code, out, _ = run(folder, "--iterations", "2", checkpoint="plain.pt")
    text = " ".join(out.split())
    assert code == 0
    assert "the plan's peak: the checkpoint does not say where it stands" in text
    assert "the gradient of the probe batch (the checkpoint holds no optimizer)" in text
    assert "every entry of the batch is the same: such a number says nothing of your data" in text
    assert "--iterations" in text


def test_plain_descent_has_its_own_limits(folder, monkeypatch):
    """2 / eta, and 3.8 / eta with momentum of 0.9."""
    monkeypatch.chdir(folder)
    words = ("--json", "--iterations", "2", "--set=optimizer.name=sgd", "--set=optimizer.learning_rate=0.01")
    for momentum, limit in ((0.0, 200), (0.9, 380)):
        _, out, _ = run(folder, *words, f"--set=optimizer.momentum={momentum}", checkpoint="plain.pt")
        found = {each["of"]: each["value"] for each in json.loads(out)["limits"]}
        assert found["hessian"] == pytest.approx(limit)


def refused(folder, name, *words, checkpoint, code=1):
    ended, out, err = run(folder, *words, checkpoint=checkpoint)
    assert (ended, out) == (code, "")
    assert err.replace(str(folder), "FOLDER") == (MESSAGES / f"{name}.txt").read_text()


def test_a_checkpoint_of_something_else(folder, monkeypatch):
    """What it lacks and what it has beside it, by name."""
    monkeypatch.chdir(folder)
    refused(folder, "checkpoint-unreadable", checkpoint="other.pt")


def test_a_loss_that_is_random(folder, monkeypatch):
    """Two numbers for one batch cannot be derived; both are shown, and what to do."""
    monkeypatch.chdir(folder)
    (folder / "coin.py").write_text(
        "import torch\n"
        "class Coin(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.ones(1))\n"
        "        self.calls = 0\n"
        "    def forward(self, x):\n"
        "        self.calls += 1\n"
        "        return (self.calls * self.w * x).sum()\n"
        "def build():\n"
        "    return Coin(), torch.ones(2, 1)\n"
    )
    import torch

    torch.save({"w": torch.ones(1)}, folder / "coin.pt")
    refused(folder, "sharpness-unmeasured", "--set=model.module=coin:build", checkpoint="coin.pt")


def test_a_module_without_second_derivatives(folder, monkeypatch):
    """The eigenvalue, which torch would silently take for 0, is left out with the reason; what needs forward passes only is there."""
    monkeypatch.chdir(folder)
    (folder / "once.py").write_text(
        "import torch\n"
        "from torch.autograd.function import once_differentiable\n"
        "class Square(torch.autograd.Function):\n"
        "    @staticmethod\n"
        "    def forward(ctx, x):\n"
        "        ctx.save_for_backward(x)\n"
        "        return x * x\n"
        "    @staticmethod\n"
        "    @once_differentiable\n"
        "    def backward(ctx, gradient):\n"
        "        return 2 * gradient * ctx.saved_tensors[0]\n"
        "class Once(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.ones(1))\n"
        "    def forward(self, x):\n"
        "        return Square.apply(self.w * x).sum()\n"
        "def build():\n"
        "    return Once(), torch.tensor([[1.0], [2.0]])\n"
    )
    import torch

    torch.save({"w": torch.ones(1)}, folder / "once.pt")
    words = ("--set=model.module=once:build", "--set=optimizer.name=sgd")
    code, out, err = run(folder, *words, checkpoint="once.pt")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "no eigenvalue: the backward of some operation is not derived: " in text
    assert "products of the Hessian give 0, differences of gradients 10; critical sharpness needs" in text
    # 5 w ** 2 along its gradient: curvature 10
    _, out, _ = run(folder, *words, "--json", checkpoint="once.pt")
    assert json.loads(out)["critical"]["sharpness"] == pytest.approx(10, rel=0.01)


def test_a_process_that_is_lost(folder, monkeypatch):
    """Too late, killed, without us: each has its words."""
    monkeypatch.chdir(folder)
    (folder / "dies.py").write_text(
        "import os, signal\ndef build():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (folder / "waits.py").write_text("import time\ndef build():\n    time.sleep(60)\n")
    code, _, err = run(folder, "--set=model.module=dies:build")
    assert code == 1
    assert "`model.module: dies:build`: the process that measures it ended with signal 9 (SIGKILL)" in err
    code, _, err = run(folder, "--set=model.module=waits:build", "--timeout", "3")
    assert "`model.module: waits:build` was not measured within 3 s [sharpness-unmeasured]" in err
    code, _, err = run(folder, "--set=launch.python=no-such-python")
    assert "`launch.python: no-such-python` is not an interpreter that is found here" in err


def test_other_kinds_have_no_module(folder, monkeypatch):
    """The way for them is the same functions in a script of one's own."""
    monkeypatch.chdir(folder)
    code, _, err = run(folder, "--set=model.kind=decoder", "--set=model.module=null")
    assert code == 1
    assert "there is no module to measure" in err
    assert "launcher.measuring.sharpness" in err
