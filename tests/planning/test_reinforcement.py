"""What a plan says of reinforcement learning: a note, and no rule."""

from plan_of import codes, only, plan_of, recipe_of

from launcher.spec.marks import Mark
from launcher.spec.training import Loss, Optimizer

POLICY = Loss(kind="policy_gradient")


def test_the_batch_is_a_minibatch():
    """The note says what global_batch_size is, that the split lies inside it, and what advantages are normalised over."""
    note = only(plan_of(loss=POLICY, devices=2, micro_batch_size=8), "on-policy-batch")
    assert note.severity == "note"
    assert "256 is the minibatch of one optimizer step" in note.message
    assert "8 micro x 16 accumulation x 2 ranks lie inside one minibatch" in note.because[0]
    assert "prime-rl#2562" in note.because[0]
    assert "arXiv:1812.06162" in note.because[2]


def test_the_mean_has_to_be_chosen():
    """A mean that nobody wrote is asked for; a written one is not."""
    assert only(plan_of(loss=POLICY), "on-policy-batch").hint.startswith("write loss.weighting")
    marks = {"loss.weighting": Mark(origin="recipe", file="r.yaml", line=1)}
    written = plan_of(recipe_of(loss=Loss(kind="policy_gradient", weighting="sequences"), marks=marks))
    assert only(written, "on-policy-batch").hint == ""


def test_a_rule_has_to_be_chosen():
    """A reference learning rate under `scaling: auto` is asked for its rule."""
    marks = {"loss.weighting": Mark(origin="recipe", file="r.yaml", line=1)}
    optimizer = Optimizer(reference_learning_rate=1e-6, reference_batch_size=64)
    plan = plan_of(recipe_of(loss=POLICY, optimizer=optimizer, marks=marks))
    assert only(plan, "on-policy-batch").hint == "write optimizer.scaling: sqrt, or none"


def test_other_losses_are_silent():
    """Supervised training has nothing of it."""
    assert "on-policy-batch" not in codes(plan_of())
