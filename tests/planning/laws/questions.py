"""Any question that laws may be asked, for tests of properties."""

from __future__ import annotations

from hypothesis import strategies as st

from launcher.planning.laws.asked import Asked
from launcher.planning.laws.parameters import Counted

__all__ = ["questions"]

KINDS = ("decoder", "moe", "module", "encoder", "encoder-decoder", "lstm", "vit", "resnet", "mlp", "bag")
positive = st.floats(1e-3, 1e15)


@st.composite
def questions(draw):
    """Models, data and settings, sensible or not, with anything unknown."""
    matrices = draw(st.integers(10**5, 10**12))
    known = draw(st.booleans())
    return Asked(
        kind=draw(st.sampled_from(KINDS)),
        optimizer=draw(st.sampled_from(("adamw", "adam", "sgd", "lion", "adamw-8bit"))),
        pretraining=draw(st.booleans()),
        parameters=Counted(
            total=3 * matrices, active=2 * matrices, non_embedding=matrices + 5, matrices=matrices
        )
        if known
        else None,
        hidden_size=draw(st.none() | st.integers(1, 30_000)),
        num_layers=draw(st.none() | st.integers(1, 200)),
        sequence_length=draw(st.none() | st.integers(1, 10**6)),
        batch_sequences=draw(st.integers(1, 10**6)),
        learning_rate=draw(st.none() | st.floats(1e-8, 10)),
        weight_decay=draw(st.sampled_from((0.0, 0.1))),
        run_tokens=draw(st.none() | positive),
        loss=draw(st.none() | st.floats(0.1, 20)),
        reference_batch_tokens=draw(st.none() | positive),
        reference_run_tokens=draw(st.none() | positive),
        reference_learning_rate=draw(st.none() | st.floats(1e-8, 10)),
        noise_sequences=draw(st.none() | positive),
        epoch_tokens=draw(st.none() | positive),
        num_stages=draw(st.integers(1, 3)),
        loss_token_share=draw(st.none() | st.floats(0.01, 1)),
    )
