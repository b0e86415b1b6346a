"""A run that moves from stage to stage in one process: batches, lengths, resuming, and what is said of it."""

from __future__ import annotations

import json

import pytest
from staged_plans import Leg, all_steps, staged

from launcher import runtime
from launcher.errors import WorldError
from launcher.planning.stages.ledger import planned_rate
from launcher.runtime.staging import work_of

RAMP = [Leg(2, 4, 2, 2), Leg(3, 8, 4, 2), Leg(2, 12, 5, 3)]
TOKENS = 30 * 32


def refusal(call, *arguments, **keywords):
    with pytest.raises(WorldError) as error:
        call(*arguments, **keywords)
    return error.value


def stream(length):
    """The numbers 0 to 959, cut into rows."""
    import torch

    return torch.arange(TOKENS).view(-1, length)


@pytest.fixture
def start(plan_of, environ_of):
    """A run over some stages, its model and its optimizer."""

    def begin(legs, *, samples=None, **changes):
        import torch

        torch.manual_seed(0)
        model = torch.nn.Linear(1, 1)
        plan = staged(plan_of(loss={"weighting": "samples"}, **changes), legs, num_samples=samples)
        run = runtime.start(model, environ=environ_of(plan))
        return run, model, torch.optim.SGD(model.parameters(), lr=0.1)

    return begin


def train(run, model, optimizer, dataset, *, until=None, **keywords):
    """Every step with the indices of its micro-batches."""
    seen = []
    for step in run.steps(dataset, **keywords):
        seen.append((step, []))
        for micro in step:
            seen[-1][1].append(micro.indices)
            run.backward(
                (model(micro.batch.float().mean(1, keepdim=True) / TOKENS) - 1).square().squeeze(1), micro
            )
        run.apply(optimizer)
        if step.number == until:
            break
    return seen


def log_of(run):
    return [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]


pytestmark = pytest.mark.torch


def test_every_stage_has_its_own_batch(start, capsys):
    """Steps, micro-batches and idle slots are those of the stage; the log and one line each say which."""
    run, model, optimizer = start(RAMP)
    seen = train(run, model, optimizer, stream(16))
    assert [step.size for step, _ in seen] == [4, 4, 8, 8, 8, 12, 12]
    assert [[len(share) for share in shares] for _, shares in seen[::2]] == [
        [2, 2],
        [4, 4],
        [4, 4],
        [5, 5, 2],
    ]
    assert [step.stage for step, _ in seen] == [1, 1, 2, 2, 2, 3, 3]
    assert [step.ends_stage for step, _ in seen] == [False, True, False, False, True, False, True]
    log = log_of(run)
    assert [entry["stage"] for entry in log] == [1, 1, 2, 2, 2, 3, 3]
    assert [entry["samples"] for entry in log] == [entry["planned_samples"] for entry in log]
    assert [entry["learning_rate"] for entry in log] == [
        planned_rate(run.plan, step) for step in all_steps(run.plan)
    ]
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stage ")]
    assert said == [
        "stage 1 of 3 from sample 0: 4 sequences = 2 x 2 x 1",
        "stage 2 of 3 from sample 8: 8 sequences = 4 x 2 x 1",
        "stage 3 of 3 from sample 32: 12 sequences = 5 x 3 x 1 - 3 idle",
    ]


def test_the_time_that_is_left_counts_tokens(start):
    """Steps of 12 sequences take three times as long as those of 4: what is left is told in tokens."""
    run, _, _ = start(RAMP)
    work = [work_of(run.plan, step.number) for step in all_steps(run.plan)]
    assert [done for done, _ in work] == [64, 64, 128, 128, 128, 192, 192]
    assert [left for _, left in work] == [832, 768, 640, 512, 384, 192, 0]


def test_a_ramp_reads_the_stream_of_a_run_without_stages(start):
    """Batches change how many samples a step takes, never which one comes next."""
    ramp, plain = (
        [index for _, shares in train(*start(legs), stream(16)) for share in shares for index in share]
        for legs in (RAMP, [Leg(14, 4, 1, 4)])
    )
    assert ramp == plain


@pytest.mark.parametrize("until", [1, 2, 3, 5])
def test_a_run_resumes_in_any_stage(start, until, capsys):
    """Inside a stage and at its end: the steps that were left, at the rates that were planned."""
    whole = train(*start(RAMP), stream(16))
    run, model, optimizer = start(RAMP)
    train(run, model, optimizer, stream(16), until=until)
    state = json.loads(json.dumps(run.state_dict()))
    assert state["tokens"] == 16 * state["samples"]
    rest, _, _ = start(RAMP)
    rest.load_state_dict(state)
    capsys.readouterr()
    found = train(rest, model, optimizer, stream(16))
    assert [shares for _, shares in found] == [shares for _, shares in whole[until:]]
    stage = whole[until][0].stage
    assert f"stage {stage} of 3 from sample {whole[until][0].samples_before}: " in capsys.readouterr().out


def test_a_run_may_start_at_any_whole_step(start):
    """`start` counts samples; inside a step of a run with stages it would move every boundary."""
    whole = train(*start(RAMP), stream(16))
    run, model, optimizer = start(RAMP)
    found = train(run, model, optimizer, stream(16), start=16)
    assert [shares for _, shares in found] == [shares for _, shares in whole[3:]]
    error = refusal(next, start(RAMP)[0].steps(stream(16), start=17))
    assert "run.steps(start=17) is inside of optimizer step 4" in str(error)
    assert error.problems[0].hint == "start=16 or start=24"


def test_a_longer_sequence_goes_on_at_the_same_token(start):
    """Sixteen tokens, then thirty-two: every token once per epoch, whole chunks in the order of the longest."""
    run, model, optimizer = start([Leg(5, 4, 2, 2), Leg(10, 2, 1, 2, 32)], samples=30)
    seen = train(run, model, optimizer, stream)
    rows = {16: stream(16), 32: stream(32)}
    tokens = [
        token
        for step, shares in seen
        for share in shares
        for index in share
        for token in rows[step.batch.sequence_length][index].tolist()
    ]
    assert len(tokens) == 15 * 64 == TOKENS
    assert sorted(tokens) == list(range(TOKENS))
    chunks = [tokens[place] // 32 for place in range(0, TOKENS, 32)]
    plain = [
        index
        for _, shares in train(*start([Leg(15, 2, 1, 2, 32)], samples=30), stream(32))
        for share in shares
        for index in share
    ]
    assert chunks == plain


def test_stages_of_several_lengths_need_a_function(start, message):
    """One dataset holds sequences of one length."""
    run, _, _ = start([Leg(5, 4, 2, 2), Leg(10, 2, 1, 2, 32)], samples=30)
    message("dataset-of-one-length", refusal(next, run.steps(stream(16))))


def test_a_function_of_the_length_serves_a_run_of_one_length_too(start):
    """So a script need not know whether its recipe has stages."""
    assert [shares for _, shares in train(*start(RAMP), stream)] == [
        shares for _, shares in train(*start(RAMP), stream(16))
    ]


def test_every_length_must_hold_all_tokens(start):
    """A dataset that loses tokens at one length would end early, in the middle of the run."""
    run, _, _ = start([Leg(5, 4, 2, 2), Leg(10, 2, 1, 2, 32)], samples=30)
    error = refusal(next, run.steps(lambda length: stream(length)[: 59 if length == 16 else 30]))
    assert "the dataset holds 59 samples of 16 tokens, planned are 60" in str(error)


def test_another_count_of_tokens_is_refused(start):
    """A state whose tokens are not those of the plan's stages is of another run."""
    run, _, _ = start(RAMP)
    error = refusal(run.load_state_dict, {**run.state_dict(), "tokens": 16})
    assert "at 0 samples has tokens 16, planned is 0" in str(error)


def test_the_rate_at_a_count_of_samples_is_that_of_its_stage(start):
    """On the curve by samples, a stage of its own factor: what run.learning_rate_at says is what is applied."""
    from dataclasses import replace

    run, _, _ = start(RAMP)
    first, second, third = run.plan.stages
    run.plan = replace(run.plan, stages=(first, replace(second, learning_rate_scale=2.0), third))
    assert run.learning_rate_at(12) == pytest.approx(2 * 0.1 * 12 / 24, rel=1e-15)
    assert run.learning_rate_at(6) == pytest.approx(0.1 * 6 / 24, rel=1e-15)
