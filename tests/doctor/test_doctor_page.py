"""What a person reads, at most 100 columns wide."""

import io
import json
import os
import re
import venv

import jsonschema

from doctor.conftest import good, with_facts
from launcher.cli.main import main
from launcher.handoff.doctor.answers import Answer
from launcher.reporting.doctor_text import doctor_lines
from launcher.spec.checkup import Checkup, Collective, HostRate


def checkup(answers, compared, **changes):
    return Checkup(
        recipe_name="job",
        plan_hash="5034ef77aa",
        executor="ssh",
        hosts=tuple(answer.host for answer in answers),
        rows=compared.rows,
        problems=compared.problems,
        notes=compared.notes,
        seconds=1.24,
        facts={answer.host: dict(answer.facts) for answer in answers},
        **changes,
    )


def lines_of(examined, answers, **changes):
    return doctor_lines(checkup(answers, examined(answers), **changes))


REFUSED = ("ssh: connect to host node-b port 22: Connection refused",)


def test_the_page(examined, golden):
    """A good host, one that is down, one with another torch and too few devices: whole."""
    answers = [
        good(0),
        Answer(host="node-b", said=REFUSED, exit=255),
        with_facts(good(2), versions={"torch": "2.11.0"}, devices={"count": 1}),
    ]
    rates = (
        HostRate(host="node-a", ranks=2, seconds=0.01, within=2.2e9, between=1.1e9),
        HostRate(host="node-c", ranks=2, seconds=0.01, within=2.0e9, between=2.1e8),
    )
    collective = Collective(
        world_size=4,
        backend="nccl",
        engine="torchrun",
        tensor_bytes=4 << 20,
        seconds=8.2,
        hosts=rates,
        slowest="node-c",
    )
    lines = lines_of(examined, answers, collective=collective)
    assert max(map(len, lines)) <= 100
    golden("doctor", {"three-hosts.txt": "\n".join(lines) + "\n"})


def test_hosts_that_are_alike_share_a_column(examined):
    """64 good hosts are one column, with the range of what they measured; the odd one stands beside them."""
    answers = [good(0), *(good(at, name=f"node-{at:02}") for at in range(1, 64))]
    answers[9] = with_facts(answers[9], run_parent={"free_bytes": 700 << 30})
    answers[17] = with_facts(answers[17], versions={"torch": "2.11.0"})
    lines = lines_of(examined, answers)
    assert len(lines) < 35
    assert max(map(len, lines)) <= 100
    assert any("node-01 (+61)" in line and "node-17" in line for line in lines)
    assert any(line.startswith("free disk") and "700 to 900 GiB" in line for line in lines)


def test_hosts_that_do_not_fit_stand_below(examined):
    """Hosts that all differ make several tables, none wider than the screen, none of them lost."""
    answers = [
        with_facts(good(at, name=f"node-{at:02}"), versions={"torch": f"2.{at}.0"}) for at in range(12)
    ]
    lines = lines_of(examined, answers)
    page = "\n".join(lines)
    assert max(map(len, lines)) <= 100
    assert all(f"node-{at:02}" in page for at in range(12))
    assert page.count("\ntorch ") > 1


def test_the_first_line_answers(examined):
    """Ready or not, what was found, and how long it took."""
    assert lines_of(examined, [good(0), good(1)])[0] == "ready   all well   2 hosts, ssh, 1.2 s   plan 5034ef"
    lines = lines_of(examined, [good(0), with_facts(good(1), limits={"nofile": 10})])
    assert lines[0].startswith("ready   1 warning   2 hosts")
    lines = lines_of(examined, [good(0), Answer(host="node-b", said=REFUSED, exit=255)])
    assert lines[0].startswith("not ready   1 problem   2 hosts")


def test_colour_changes_no_word(examined):
    """With colour the same words stand in the same places."""
    found = checkup(answers := [good(0), Answer(host="node-b", said=REFUSED, exit=255)], examined(answers))
    coloured = doctor_lines(found, colour=True)
    assert any("\x1b[31m" in line for line in coloured)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == doctor_lines(found)


SCHEMA = {
    "type": "object",
    "required": [
        *("doctor_version", "recipe_name", "plan_hash", "executor", "ok", "hosts", "checks", "problems"),
        *("notes", "collective", "seconds", "facts"),
    ],
    "additionalProperties": False,
    "properties": {
        "doctor_version": {"const": 1},
        **{name: {"type": "string"} for name in ("recipe_name", "plan_hash", "executor")},
        "ok": {"type": "boolean"},
        "hosts": {"type": "array", "items": {"type": "string"}},
        "checks": {
            "additionalProperties": {
                "additionalProperties": {
                    "required": ["found", "state", "why"],
                    "properties": {"state": {"enum": ["ok", "note", "bad", "unknown"]}},
                }
            }
        },
        "problems": {"type": "array", "items": {"required": ["code", "severity", "message", "hint"]}},
        "notes": {"type": "array"},
        "collective": {"type": ["object", "null"]},
        "seconds": {"type": "number"},
        "facts": {"type": "object"},
    },
}


def test_json(examined):
    """The object that monitoring reads, with the names of the table."""
    answers = [good(0), Answer(host="node-b", said=REFUSED, exit=255)]
    found = json.loads(json.dumps(checkup(answers, examined(answers)).to_dict()))
    jsonschema.validate(found, SCHEMA)
    assert found["ok"] is False
    assert found["checks"]["ssh"]["node-b"] == {"found": "refused", "state": "bad", "why": None}
    assert found["facts"]["node-a"]["versions"]["torch"] == "2.13.0"


def test_an_executor_that_nobody_can_ask():
    """Without a row there is no table, and the note says why."""
    checkup = Checkup(
        recipe_name="job",
        plan_hash="5034ef77aa",
        executor="mine",
        hosts=("mine",),
        rows=(),
        problems=(),
        notes=("`mine` starts the job by itself: its hosts are asked when they meet",),
    )
    assert doctor_lines(checkup) == [
        "ready   all well   mine, hosts not known yet, 0.0 s   plan 5034ef",
        "",
        "note    `mine` starts the job by itself: its hosts are asked when they meet",
    ]


def test_this_machine_through_another_interpreter(tmp_path):
    """A job's interpreter that is not ours is started and asked; what it lacks is one problem."""
    venv.create(tmp_path / "bare", with_pip=False)
    (tmp_path / "job.yaml").write_text(
        "global_batch_size: 12\nsequence_length: 16\nhidden_size: 64\n"
        "cluster: {nodes: 1, devices_per_node: 2, device: cpu}\n"
        f"launch: {{script: job.yaml, python: {tmp_path}/bare/bin/python3}}\n"
    )
    out, err = io.StringIO(), io.StringIO()
    code = main(["doctor", str(tmp_path / "job.yaml"), "--json"], environ=os.environ, stdout=out, stderr=err)
    found = json.loads(out.getvalue())
    assert (code, found["ok"], found["collective"]) == (1, False, None), err.getvalue()
    (host,) = found["hosts"]
    assert found["facts"][host]["interpreter"] == f"{tmp_path}/bare/bin/python3"
    assert "torch, batchwright are not installed on" in found["problems"][0]["message"]
