"""How steadily a training goes: pure detectors of what moves. Runtime and witness use the same."""
