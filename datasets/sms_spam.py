"""SMS Spam: text messages, spam or ham (Almeida and Hidalgo, 2011)."""

# The collection as published, gzipped, beside this file: 5,574 lines `label<TAB>text`, some of
# them more than once.
from rung.sources import TextLines

dataset = TextLines(
    title="SMS Spam",
    path="sms_spam.tsv.gz",
    source="https://archive.ics.uci.edu/dataset/228",
    licence="CC BY 4.0",
    citation="doi:10.24432/C5CC84",
)
