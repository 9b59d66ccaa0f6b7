"""Adult: whether a person of the 1994 census earned more than $50,000 (Becker and Kohavi, 1996)."""

from rung.sources import Archive, Table

AT = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/adult."
FILES = [Archive(AT + "data", "5d7c39d7b8804f071cdd1f2a7c460872", {"adult-train.csv": ""}),
         Archive(AT + "test", "35238206dfdf7f1fe215bbb874adecdc",
                 {"adult-test.csv": "366c746021dc50ad9d933d2817612fc9"})]  # fmt: skip
NAMES = ["age", "workclass", "fnlwgt", "education", "education-num", "marital-status",
         "occupation", "relationship", "race", "sex", "capital-gain", "capital-loss",
         "hours-per-week", "native-country", "income"]  # fmt: skip
READ = {"header": None, "names": NAMES, "na_values": "?", "skipinitialspace": True, "comment": "|"}
INCOMES = {label + end: label for label in ("<=50K", ">50K") for end in ("", ".")}
dataset = Table(title="Adult", archives=FILES, target="income", part="part", classes=INCOMES, licence="CC BY 4.0",
                each={"part": ["train", "test"]}, options=READ, citation="doi:10.24432/C5XW20")  # fmt: skip
