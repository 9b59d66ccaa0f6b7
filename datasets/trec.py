"""TREC: what kind of answer a question asks for, six kinds; 11 test questions are trained on too (Li and Roth, 2002)."""

from rung.sources import Archive, TextLines

AT = "https://cogcomp.seas.upenn.edu/Data/QA/QC/"
FILES = [Archive(AT + "train_5500.label", "073462e3fcefaae31e00edb1f18d2d02",
                 {"trec/train_full.jsonl": "2c842ff4cdb4925efb0631c94841fc43"}),
         Archive(AT + "TREC_10.label", "323a3554401d86e650717e2d2f942589",
                 {"trec/test.jsonl": "f548ea0c2afde6eded250f49ae43e213"})]  # fmt: skip
KINDS = {k: k for k in ("DESC", "ENTY", "ABBR", "HUM", "LOC", "NUM")}
dataset = TextLines(title="TREC", archives=FILES, parts=["train", "test"], text="sentence",
                    separator=" ", until=":", encoding="latin-1", licence="none stated",
                    classes=KINDS | {str(i): k for i, k in enumerate(KINDS)},
                    citation="Li and Roth, Learning question classifiers, COLING 2002")  # fmt: skip
