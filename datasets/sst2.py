"""SST-2: whether a sentence of a film review is positive; whole sentences, dev trained on (Socher et al., 2013)."""

from rung.sources import Archive, TextLines

FILES = [Archive("", "0db8b133d7d2e56e682fb5c16d0aaacb", {"sst2/train.tsv": ""}),
         Archive("", "c86477dd4b9c2347e23b85acf5e7119c", {"sst2/dev.tsv": ""}),
         Archive("", "8a9765e81f1456424397ac98dc6e4174", {"sst2/test.tsv": ""})]  # fmt: skip
dataset = TextLines(
    title="SST-2", archives=FILES, parts=["train", "val", "test"], text="sentence", header=True,
    classes={"0": "negative", "1": "positive"}, source="https://nlp.stanford.edu/sentiment/",
    licence="none stated", citation="Socher et al., EMNLP 2013",
)  # fmt: skip
