"""Wine quality: how good tasters found 6,497 wines, from their chemistry and colour (Cortez et al., 2009)."""

from rung.sources import Archive, Table

AT = "https://raw.githubusercontent.com/jbrownlee/Datasets/91d19aca5be094c329211e0ce0912c607d6eb114/"  # fmt: skip
NAMES = ["fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free SO2",
         "total SO2", "density", "pH", "sulphates", "alcohol", "quality"]  # fmt: skip
FILES = [Archive(AT + "winequality-red.csv", "18625f38d0ab8a40b7d642ae69679a80"),
         Archive(AT + "winequality-white.csv", "1ee2565d70413ab16182bae17ce0e82a")]  # fmt: skip
dataset = Table(
    title="Wine quality", task="regression", archives=FILES, target="quality",
    each={"colour": ["red", "white"]}, options={"header": None, "names": NAMES},
    licence="CC BY 4.0", citation="doi:10.24432/C56S3T",
)  # fmt: skip
