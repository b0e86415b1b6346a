"""What small traces say of other sizes, and what the plan makes of it: to the byte where the trace says exact."""

from pathlib import Path

import pytest

from launcher.measuring.trace_all import trace_module
from launcher.measuring.trace_fit import Fit, Size, fitted, value
from launcher.measuring.trace_module import Refused, find_function
from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Setting
from launcher.planning.memory.traced import parts_from_trace

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Accessing the data pointer")]

HERE = Path(__file__).parent
CUDA = {"device_kind": "cuda", "compute": "bf16", "autocast": True}
CPU = {"device_kind": "cpu", "compute": "fp32", "autocast": False}


def request(name, *, batch=4, length=1, around=CPU, **offered):
    sizes = {"micro_batch_size": batch, "sequence_length": length}
    implementation = "for-loop" if around["device_kind"] == "cpu" else "foreach"
    return {
        **around,
        "module": f"traced_modules:{name}",
        "directory": str(HERE),
        "frozen": [],
        "offered": {**(sizes if length > 1 else {"micro_batch_size": batch}), **offered},
        "sizes": sizes,
        "optimizer": {
            "name": "adamw",
            "implementation": implementation,
            "momentum": 0.0,
            "device_kind": around["device_kind"],
        },
    }


def traced(asked):
    """The trace as its file holds it, as far as planning reads it."""
    return {**asked, **trace_module(asked)}


def estimated(trace, *, layers, batch=None, length=None):
    sizes = trace["sizes"]
    half = trace["compute"] != "fp32" and not trace["autocast"]
    each = 2 if half else 4
    setting = Setting(
        device_kind=trace["device_kind"],
        micro_batch_size=batch or sizes["micro_batch_size"],
        sequence_length=length or sizes["sequence_length"],
        optimizer_implementation=trace["optimizer"]["implementation"],
        formats=Formats(
            compute=trace["compute"],
            autocast=trace["autocast"],
            parameter_bytes=each,
            gradient_bytes=each,
            state_bytes=each,
        ),
    )
    network = Network(kind="module", num_layers=layers, trace=trace)
    stage = estimate_memory(network=network, setting=setting).stages[0]
    constant = stage.components.get("workspaces", 0)
    return parts_from_trace(trace, network, setting), {
        name: size - constant for name, size in stage.phases.items()
    }


@pytest.mark.parametrize(
    ("asked", "extends"),
    [
        (request("decoder", length=128, num_layers=6), (True, True, True)),
        (
            request("decoder", length=256, num_layers=6, tied=True, dropout=0.1, around=CUDA),
            (True, True, True),
        ),
        (request("llama", length=128, num_layers=6, around=CUDA), (True, True, True)),
        (request("recomputed", length=128, num_layers=6, around=CUDA), (True, True, True)),
        pytest.param(request("encoder", length=128), (True, True, False), marks=pytest.mark.full),
        pytest.param(request("recurrent", length=64), (True, False, False), marks=pytest.mark.full),
        (request("perceptron", batch=64), (True, False, False)),
        (request("convolution", batch=8), (True, False, False)),
    ],
    ids=lambda value: value["module"].partition(":")[2] if isinstance(value, dict) else "",
)
def test_a_trace_extends(asked, extends):
    """Fits agree to the byte with sizes they have not seen, and the plan's formulas with the traced peaks."""
    trace = traced(asked)
    found = tuple(trace["extends"][name]["exact"] for name in trace["extends"])
    assert found == extends, trace["extends"]
    assert trace["extends"]["micro_batch_size"]["checked_at"]
    totals = trace["totals"]
    parts, phases = estimated(trace, layers=asked["offered"].get("num_layers", 0))
    assert sum(part.repeat * part.weights[0].count for part in parts) == totals["parameters"]
    saved = totals["saved_bytes"] + totals["batch_bytes"] + totals["buffer_bytes"]
    assert sum(part.repeat * part.saved for part in parts) == saved
    # the formula leaves out step counters, and the batch and buffers during the optimizer's step
    aside = totals["batch_bytes"] + totals["buffer_bytes"] + 2048
    assert max(phases.values()) == pytest.approx(totals["peak_bytes"], rel=2e-3, abs=aside)
    assert phases["forward-end"] <= totals["phases"]["forward-end"] + aside


def test_another_size_is_another_trace():
    """Parts of a small trace are those of a trace at the larger size and depth."""
    small = traced(request("decoder", length=64, num_layers=5, around=CUDA))
    large = traced(request("decoder", batch=12, length=128, num_layers=9, around=CUDA))
    assert estimated(small, layers=9, batch=12, length=128) == estimated(large, layers=9)


def test_code_that_depends_on_the_length_is_not_extended_over_it():
    """A module that does other things beyond a length is traced at its own size."""
    trace = traced(request("chunked", length=96))
    assert not trace["extends"]["sequence_length"]["exact"]
    assert "operations" in trace["extends"]["sequence_length"]["reason"]
    assert trace["extends"]["micro_batch_size"]["exact"]


def test_micro_batch_one_is_traced_by_itself_where_it_differs():
    """Along a dimension of one torch does not copy; the numbers of one are its own."""
    trace = traced(request("transposed", batch=1, length=64))
    assert trace["parts_of_one"]
    parts, _ = estimated(trace, layers=0)
    assert (
        sum(part.saved for part in parts) == trace["totals"]["saved_bytes"] + trace["totals"]["batch_bytes"]
    )


def test_a_batch_that_cannot_be_resized_stays():
    """Without a common dimension the trace holds for its own size alone, and says why."""
    trace = traced(request("uneven"))
    assert not trace["extends"]["micro_batch_size"]["exact"]
    assert trace["extends"]["micro_batch_size"]["reason"]


def test_construction_may_look_at_what_is_no_data():
    """Rates read from a row of numbers and truncated initialisation do not make a module data-dependent."""
    trace = traced(request("stochastic"))
    assert trace["totals"]["parameters"] == 4 * (8 * 8 + 8)
    assert trace["extends"]["micro_batch_size"]["exact"]


def test_the_function_is_given_what_it_takes():
    """Sizes and keys of the model go by name; a keyword that nothing offers is refused."""
    assert traced(request("perceptron", hidden_size=32, num_layers=1, depth=7))["totals"]["parameters"] == (
        64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10
    )
    with pytest.raises(Refused) as refused:
        traced(request("decoder", length=1) | {"offered": {"micro_batch_size": 2}})
    assert (refused.value.code, "`sequence_length`" in refused.value.message) == ("module-unusable", True)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nothing", "module-not-found"),
        ("HERE", "module-not-found"),
        ("bare", "module-unusable"),
        ("untrained", "module-unusable"),
    ],
)
def test_what_is_no_module_and_batch_is_refused(name, code):
    """A name that is no function, and a function that returns something else."""
    with pytest.raises(Refused) as refused:
        traced(request(name))
    assert refused.value.code == code


def test_a_file_with_the_name_of_another_module(tmp_path):
    """What Python has loaded under that name already is not taken for the person's."""
    (tmp_path / "json.py").write_text("def build(): ...\n")
    with pytest.raises(Refused) as refused:
        find_function("json:build", directory=tmp_path)
    assert refused.value.code == "module-not-found"


def test_frozen_parameters_have_no_gradients():
    """`model.frozen` takes modules by a part of their path."""
    asked = request("decoder", length=64, num_layers=2) | {"frozen": ["tokens", "places"]}
    totals = traced(asked)["totals"]
    assert totals["parameters"] - totals["trained"] == 1000 * 64 + 512 * 64
    assert totals["gradient_bytes"] == 4 * totals["trained"]


class TestFits:
    """Polynomials through points."""

    def test_the_polynomial_that_was_put_in_comes_out(self):
        """Six coefficients from two micro-batches and three lengths, exactly."""
        fit = Fit((2, 3), (64, 128, 256))
        wanted = {"1": 5, "b": 3, "s": 7, "t": 11, "s*s": 2, "t*s": 13}
        values = [int(value(wanted, size)) for size in fit.sizes]
        assert fit.polynomial(values) == wanted

    def test_only_operations_that_are_largest_somewhere_are_kept(self):
        """A dominated operation is dropped, one that wins at long sequences alone is not."""
        fit = Fit((2, 3), (8, 16, 32))
        many = [{"t": 10}, {"t": 9}, {"t*s": 0.125}, {"1": 100_000}]
        rows = [[int(value(each, size)) for size in fit.sizes] for each in many]
        assert sorted(map(str, fitted(fit, rows))) == sorted(map(str, [many[0], many[2], many[3]]))

    def test_one_size_is_a_constant(self):
        """Without room to vary every number is itself."""
        assert Fit((4,), (7,)).polynomial([28]) == {"1": 28}
        assert Size(4, 7) in Fit((4,), (7,)).sizes
