"""Digits: 8×8 grey pictures of handwritten digits (Alpaydin and Kaynak, 1998)."""

from rung.sources import ScikitLearn

dataset = ScikitLearn(
    title="Digits",
    loader="digits",
    test_size=500,
    source="https://archive.ics.uci.edu/dataset/80",
    licence="CC BY 4.0",
    citation="doi:10.24432/C50P49",
)
