"""Networks made by hand for tests of what does not depend on the kind of network."""

from launcher.planning.memory.part import Part, Weights

__all__ = ["stack"]


def stack(*, layers=8, width=64, words=500, tokens=128, tied=False, bytes_each=2):
    """Embeddings, equal layers and a head: saved bytes grow with tokens, width and depth as a transformer's do."""
    table, matrices = words * width, 12 * width * width
    return (
        Part(
            name="embeddings",
            place="first",
            weights=(Weights(count=table, split="tensor", largest=table),),
            saved=8 * tokens,
        ),
        Part(
            name="layer",
            repeat=layers,
            weights=(
                Weights(count=matrices, split="tensor", largest=4 * width * width),
                Weights(count=4 * width, largest=width),
            ),
            saved=17 * bytes_each * tokens * width + 5 * tokens * tokens,
            core=5 * tokens * tokens,
            boundary=bytes_each * tokens * width,
            backward=4 * bytes_each * tokens * width,
            forward=2 * bytes_each * tokens * width,
        ),
        Part(
            name="head",
            place="last",
            weights=(Weights(count=table, split="tensor", largest=table, tied=tied),),
            saved=tokens * (2 * bytes_each * width + 4 * words),
            logits=4 * tokens * words,
            loss=8 * tokens * words,
        ),
    )
