"""Fashion-MNIST: 28×28 grey pictures of ten kinds of clothing (Xiao et al., 2017)."""

from rung.sources import Archive, Idx

AT = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = [Archive(AT + "train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
         Archive(AT + "train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
         Archive(AT + "t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
         Archive(AT + "t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310")]  # fmt: skip
KIND = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]  # fmt: skip
dataset = Idx(
    title="Fashion-MNIST", archives=FILES, classes=KIND, licence="MIT", citation="arXiv:1708.07747"
)
