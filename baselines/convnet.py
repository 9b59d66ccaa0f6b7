"""A small residual net (He et al., 2016): whitened first layer, Muon, one cycle, flips and shifts."""

from __future__ import annotations

import copy
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.functional import relu, unfold

from rung.baseline import Baseline
from rung.dataset import Dataset
from rung.errors import RungError
from rung.features import checked_pictures, resized
from rung.training import Loss, outputs, seeded, train

NEEDS = "the convnet needs"  # how the error for other input begins
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
CONVOLUTION_RATE = 0.01  # by which a step turns a weight, for each √row of a batch
FEWEST_STEPS, MOST_ROWS = 16, 256  # of an epoch and of a batch
MOST_EPOCHS = 20
BUDGET = 220e6  # pixels of all batches together: nine epochs of Imagenette at 64 px
FEW = 4_000  # with fewer pictures, many passes at SMALL_SIDE are worth more than a few large ones
SMALL_SIDE = 32
GROW_SIDE = 48  # pictures of this side and more begin at half of it
GROWN = 0.9  # and are whole after this share of the training
BROAD = 16  # from which side on neighbouring pixels are much alike
SAMPLE = 1_000  # pictures that tell what to expect of all
NOISE = 1e-3  # variance of a patch, in that of a pixel, below which little is made of it


def make(dataset: Dataset, seed: int, **parameters: Any) -> Any:
    """The classifier or the regressor, unfitted."""
    if dataset.task == "classification":
        return ConvnetClassifier(random_state=seed, **parameters)
    return ConvnetRegressor(random_state=seed, **parameters)


baseline = Baseline(
    rung=7,
    title="Convnet",
    modalities=("image",),
    needs="pixels",
    px=64,
    gpu=True,
    make=make,
)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution and its batch norm, which makes a bias of the convolution idle."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    """relu(two convolutions + shortcut), on the map halved by a maximum where the width changes.

    The maximum before the block costs as little as a stride in it and learns much faster.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        changes = inputs != outputs
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if changes else nn.Identity()
        self.shortcut = conv(inputs, outputs, kernel=1) if changes else nn.Identity()
        self.body = nn.Sequential(conv(inputs, outputs), nn.ReLU(), conv(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        return relu(self.body(x) + self.shortcut(x))


def whitening(pictures: Tensor, most: int) -> Tensor:
    """Filters that make what is alike in a picture's 3×3 patches differ as much as what is not.

    pictures: (n, channels, height, width), standardised. The `most` leading principal components
    of their patches, each over its standard deviation, and their negatives for the rectifier:
    (filters, channels, 3, 3). A net that begins with them need not learn to tell edges from
    brightness, of which pictures have hundreds of times as much (Page, 2018, "How to train your
    ResNet"; Jordan, 2024, arXiv:2404.00498).
    """
    stride = max(1, max(pictures.shape[2:]) // 16)
    patches = unfold(pictures, 3, padding=1, stride=stride).transpose(1, 2).flatten(0, 1)
    variance, components = torch.linalg.eigh(patches.T @ patches / len(patches))
    leading = (components / (variance.clamp(min=0) + NOISE).sqrt()).T.flip(0)[:most]
    return torch.cat([leading, -leading]).reshape(-1, pictures.shape[1], 3, 3)


class Net(nn.Module):
    """A stem of two convolutions, then blocks until the map is at most 4×4, mean, linear layer.

    Takes pictures (n, height, width, channels) of values 0 to 255; at 64 px the maps are 32, 16,
    8 and 4 wide, with `width` to 8 · `width` channels. The first convolution of pictures of
    BROAD px and more whitens them and is not trained. pictures: some of the training set, uint8.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, pictures: Tensor, n_outputs: int, width: int) -> None:
        super().__init__()
        sd, mean = torch.std_mean(pictures.float().flatten(0, 2), dim=0)
        self.register_buffer("mean", mean)
        self.register_buffer("sd", sd.clamp(min=1))
        side = max(pictures.shape[1:3])
        if side >= BROAD:  # a large map costs most and tells least
            filters = whitening(self.standardized(pictures), max(1, width // 2))
            narrow, stride = len(filters), 2
            first = conv(pictures.shape[3], narrow, stride=stride)
            first[0].weight = nn.Parameter(filters, requires_grad=False)
        else:
            narrow, stride = width, 1
            first = conv(pictures.shape[3], narrow)
        layers: list[nn.Module] = [
            *(first, nn.ReLU()),
            *(conv(narrow, 2 * width), nn.ReLU()),
            nn.MaxPool2d(2, ceil_mode=True),
            Block(2 * width, 2 * width),
        ]
        side, width = -(-side // (2 * stride)), 2 * width
        while side > 4:
            layers.append(Block(width, 2 * width))
            side, width = -(-side // 2), 2 * width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, n_outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def standardized(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) float32."""
        return ((x.float() - self.mean) / self.sd).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(self.standardized(x)).mean((2, 3)))
        return answer


def border(side: int) -> int:
    """By how many pixels pictures of this side are shifted at most."""
    return max(1, side // 16)


def bordered(pictures: Tensor) -> Tensor:
    """Pictures (n, height, width, channels) with borders on all sides, in which they are mirrored."""
    for dim, side in ((1, pictures.shape[1]), (2, pictures.shape[2])):
        at = torch.arange(-border(side), side + border(side), device=pictures.device).abs()
        inside = (side - 1 - (side - 1 - at).abs()).clamp(min=0)
        pictures = pictures.index_select(dim, inside)
    return pictures


def augmented(
    pictures: Tensor, sides: list[int], generator: torch.Generator, progress: float, flip: bool
) -> Tensor:
    """Shifts by up to a sixteenth of the side, flips, growing pictures.

    Pictures as `bordered` gives them, of which parts of these sides are cut out, uint8. Large
    pictures begin at half their side: early on, coarse pictures teach as much for a quarter of the
    cost (Howard, 2018, fast.ai).
    """
    n, full_height, full_width, channels = pictures.shape
    height, width = sides
    device = pictures.device

    def shifts(side: int) -> Tensor:
        return torch.randint(2 * border(side) + 1, (n, 1), generator=generator, device=device)

    each = torch.arange(n, device=device)
    rows = each[:, None] * full_height + shifts(height) + torch.arange(height, device=device)
    # A row of a part is `width` pixels from some pixel on: all that there are, without a copy.
    parts = pictures.view(-1).as_strided(
        (pictures.numel() // channels - width + 1, width * channels), (channels, 1)
    )
    start = (rows * full_width + shifts(width)).flatten()
    out = parts.index_select(0, start).view(n, height, width, channels)
    if flip:
        flipped = torch.rand(n, generator=generator, device=device) < 0.5
        # A third of the time of torch.where.
        out = torch.cat([out, out.flip(2)]).index_select(0, flipped * n + each)
    share = side_share(min(sides), progress)
    if share == 1:
        return out
    return resized(out, [min(side, round(side * share / 8) * 8) for side in sides])


def side_share(side: int, progress: float) -> float:
    """The share of its side that a picture has at this point of the training."""
    return min(1.0, 0.5 + 0.5 * progress / GROWN) if side >= GROW_SIDE else 1.0


def default_epochs(n: int, sides: list[int]) -> int:
    """Epochs that BUDGET pays for, 1 to MOST_EPOCHS."""
    seen = np.mean([side_share(min(sides), t) ** 2 for t in np.linspace(0, 1, 101)])
    return int(np.clip(BUDGET // (n * np.prod(sides) * seen), 1, MOST_EPOCHS))


class _Convnet(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share.

    X: (n, height, width, channels) uint8. epochs: None spends a budget of pixels, the same for
    all training sets, in at most 20 epochs. width: channels of the first layer. flip: whether to
    train on mirrored pictures too; "auto" does so for colour pictures, since grey ones are often
    signs that have a reading direction. Fewer than 4,000 pictures are shrunk to 32 px.
    """

    _learning_rate: float  # the peak

    def __init__(
        self,
        epochs: int | None = None,
        width: int = 32,
        flip: bool | Literal["auto"] = "auto",
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        self.epochs = epochs
        self.width = width
        self.flip = flip
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def _fit(self, X: ArrayLike, y: Tensor, n_outputs: int, loss: Loss) -> Self:
        pictures = checked_pictures(X, NEEDS)
        if len(pictures) != len(y) or len(pictures) < 2:
            raise RungError(
                f"the convnet got {len(pictures)} pictures and {len(y)} targets; "
                "it needs one target for each of two or more pictures"
            )
        self.shape_, self.n_features_in_ = pictures.shape[1:], pictures[0].size
        self.n_train_ = n = len(pictures)
        longest = max(self.shape_[:2])
        shrink = SMALL_SIDE / longest if n < FEW and longest > SMALL_SIDE else 1
        self.sides_ = [max(1, round(side * shrink)) for side in self.shape_[:2]]
        data = self._tensor(pictures)
        self.epochs_ = self.epochs or default_epochs(n, self.sides_)
        flip = data.shape[3] == 3 if self.flip == "auto" else self.flip
        batch_size = min(max(n // FEWEST_STEPS, 8), MOST_ROWS)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        with seeded(seed, self.device) as generator:
            net = Net(data[:: -(-n // SAMPLE)], n_outputs, self.width).to(self.device)
            data = bordered(data)
            train(
                net,
                data,
                y.to(self.device),
                loss=loss,
                epochs=self.epochs_,
                batch_size=batch_size,
                learning_rate=self._learning_rate,
                convolution_rate=CONVOLUTION_RATE * batch_size**0.5,
                weight_decay=WEIGHT_DECAY,
                generator=generator,
                augment=lambda x, g, progress: augmented(x, self.sides_, g, progress, flip),
                precision=self.precision,
            )
        self.net_ = net.cpu()  # so that it can be unpickled where there is no GPU
        return self

    def _outputs(self, X: ArrayLike) -> Tensor:
        """What the net says, (n, n_outputs) float64."""
        check_is_fitted(self)
        pictures = checked_pictures(X, NEEDS, self.shape_)
        net = copy.deepcopy(self.net_).to(self.device)
        return outputs(net, self._tensor(pictures), precision=self.precision).cpu().double()

    def _tensor(self, pictures: NDArray[np.uint8]) -> Tensor:
        """The pictures on the device, uint8, shrunk if need be."""
        data = torch.tensor(pictures, device=self.device)
        if list(data.shape[1:3]) == self.sides_:
            return data
        return torch.cat([resized(x, self.sides_) for x in data.split(512)])


class ConvnetClassifier(ClassifierMixin, _Convnet):  # type: ignore[misc]
    """A small residual net for classes. After fit: classes_, net_, epochs_, n_train_."""

    _learning_rate = 0.1

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """y: (n,) labels. Raises RungError if X holds no pictures, FloatingPointError for NaN."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        loss = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
        return self._fit(X, torch.tensor(codes), len(self.classes_), loss)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, (n, n_classes)."""
        return np.asarray(self._outputs(X).softmax(1))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels, (n,)."""
        return np.asarray(self.classes_[self._outputs(X).argmax(1).numpy()])


class ConvnetRegressor(RegressorMixin, _Convnet):  # type: ignore[misc]
    """A small residual net for a number; the target is standardised inside."""

    _learning_rate = 0.01  # the squared error is many times as steep as the log loss

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """y: (n,) numbers. Raises RungError if X holds no pictures, FloatingPointError for NaN."""
        target = np.asarray(y, dtype=np.float64)
        self.mean_, self.scale_ = target.mean(), target.std() or 1.0
        standardized = torch.tensor((target - self.mean_) / self.scale_).float()[:, None]
        return self._fit(X, standardized, 1, nn.MSELoss())

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Numbers, (n,)."""
        return np.asarray(self._outputs(X)[:, 0] * self.scale_ + self.mean_)
