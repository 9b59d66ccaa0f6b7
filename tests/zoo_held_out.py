"""Faults and healthy nets that were written before their author had seen the checks.

FAULTS: factory → (codes of which one must be found, data set). HEALTHY: (factory, data set).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from torch import nn


def mlp(d, k, h=64):
    return nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Linear(h, k))


class Loop(ClassifierMixin, BaseEstimator):
    lr = 1e-2
    epochs = 15

    def build(self, d, k):
        return mlp(d, k)

    def opt(self, net):
        return torch.optim.Adam(net.parameters(), lr=self.lr)

    def loss(self, out, y):
        return F.cross_entropy(out, y)

    def batch(self, x):
        return x

    def step(self, net, opt, x, y):
        opt.zero_grad()
        self.loss(net(self.batch(x)), y).backward()
        opt.step()

    def prep(self, X, y):
        return X, y

    def fit(self, X, y):
        self.classes_, c = np.unique(y, return_inverse=True)
        X = torch.tensor(np.asarray(X), dtype=torch.float32)
        c = torch.tensor(c)
        X, c = self.prep(X, c)
        self.net_ = self.build(X.shape[1], len(self.classes_))
        opt = self.opt(self.net_)
        for _ in range(self.epochs):
            for r in torch.randperm(len(X)).split(64):
                self.step(self.net_, opt, X[r], c[r])
        self.done()
        return self

    def done(self):
        self.net_.eval()

    def out(self, X):
        with torch.no_grad():
            return self.net_(torch.tensor(np.asarray(X), dtype=torch.float32))

    def proba(self, o):
        return o.softmax(1)

    def predict_proba(self, X):
        return self.proba(self.out(X)).numpy()

    def predict(self, X):
        return self.classes_[self.out(X).argmax(1).numpy()]


class Healthy(Loop):
    pass


class NeverEval(Loop):
    def build(self, d, k):
        return nn.Sequential(
            nn.Linear(d, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, k)
        )

    def done(self):
        pass


class SoftmaxCE(Loop):
    def build(self, d, k):
        return nn.Sequential(*mlp(d, k), nn.Softmax(1))

    def proba(self, o):
        return o


class NoStep(Loop):
    def step(self, net, opt, x, y):
        opt.zero_grad()
        self.loss(net(x), y).backward()


class NoZero(Loop):
    def step(self, net, opt, x, y):
        self.loss(net(x), y).backward()
        opt.step()


class StaleOptimizer(Loop):
    def build(self, d, k):
        self.body = nn.Sequential(nn.Linear(d, 64), nn.ReLU())
        return nn.Sequential(self.body, nn.Linear(64, k))

    def opt(self, net):
        return torch.optim.Adam(self.body.parameters(), lr=self.lr)


class HugeRate(Loop):
    lr = 30.0


class AlwaysDropout(Loop):
    def build(self, d, k):
        class N(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(d, 64)
                self.b = nn.Linear(64, k)

            def forward(self, x):
                return self.b(F.dropout(F.relu(self.a(x)), 0.5))

        return N()


class NoRunningStats(Loop):
    def build(self, d, k):
        return nn.Sequential(
            nn.Linear(d, 64),
            nn.BatchNorm1d(64, track_running_stats=False),
            nn.ReLU(),
            nn.Linear(64, k),
        )


class Detached(Loop):
    def build(self, d, k):
        class N(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(d, 64)
                self.b = nn.Linear(64, k)

            def forward(self, x):
                return self.b(F.relu(self.a(x)).detach())

        return N()


class WrongSoftmaxDim(Loop):
    def loss(self, out, y):
        return F.nll_loss(F.log_softmax(out, 0), y)


class ShuffledY(Loop):
    def prep(self, X, y):
        return X[torch.randperm(len(X))], y


class TestNoise(Loop):
    def out(self, X):
        return super().out(np.asarray(X) + np.random.normal(size=np.shape(X)))


class NllOnLogits(Loop):
    def loss(self, out, y):
        return F.nll_loss(out, y)

    epochs = 3


class Unsorted(Loop):
    def out(self, X):
        X = np.asarray(X)
        return super().out(X[np.argsort(X.sum(1))])


class Clipped(Loop):
    def loss(self, out, y):
        return super().loss(out, y).clamp(max=0.5)


class BroadcastMSE(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        X = torch.tensor(np.asarray(X), dtype=torch.float32)
        self.m, self.s = float(np.mean(y)), float(np.std(y))
        t = torch.tensor((np.asarray(y) - self.m) / self.s).float()
        self.net_ = mlp(X.shape[1], 1)
        o = torch.optim.Adam(self.net_.parameters(), lr=1e-2)
        for _ in range(60):
            o.zero_grad()
            F.mse_loss(self.net_(X), t).backward()
            o.step()
        self.net_.eval()
        return self

    def predict(self, X):
        with torch.no_grad():
            return (
                self.net_(torch.tensor(np.asarray(X), dtype=torch.float32))[:, 0].numpy() * self.s
                + self.m
            )


class ForgetScale(BroadcastMSE):
    def fit(self, X, y):
        X = torch.tensor(np.asarray(X), dtype=torch.float32)
        self.m, self.s = float(np.mean(y)), float(np.std(y))
        t = torch.tensor((np.asarray(y) - self.m) / self.s).float()[:, None]
        self.net_ = mlp(X.shape[1], 1)
        o = torch.optim.Adam(self.net_.parameters(), lr=1e-2)
        for _ in range(60):
            o.zero_grad()
            F.mse_loss(self.net_(X), t).backward()
            o.step()
        self.net_.eval()
        self.m, self.s = 0.0, 1.0
        return self


# modules
class ViewForPermute(nn.Module):
    def __init__(self, shape=(3, 32, 32), n_classes=10):
        super().__init__()
        self.c = nn.Conv2d(shape[0], 8, 3, 2, 1)
        self.f = nn.LazyLinear(n_classes)

    def forward(self, x):
        h = F.relu(self.c(x))
        n, _c, _a, _b = h.shape
        h = h.permute(1, 0, 2, 3).reshape(n, -1)  # mixes the batch
        return self.f(h)


def view_for_permute(shape, n_classes):
    return ViewForPermute(shape, n_classes)


def zero_init(shape, n_classes):
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(64), nn.ReLU(), nn.Linear(64, n_classes))
    net(torch.zeros(1, *shape))
    for p in net.parameters():
        nn.init.zeros_(p)
    return net


def huge_logits(shape, n_classes):
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(int(np.prod(shape)), 64), nn.ReLU(), nn.Linear(64, n_classes)
    )
    with torch.no_grad():
        net[3].weight.mul_(100)
    return net


def frozen(shape, n_classes):
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(int(np.prod(shape)), 64), nn.ReLU(), nn.Linear(64, n_classes)
    )
    net[1].requires_grad_(False)
    return net


def attention_over_batch(shape, n_classes):
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.Linear(shape[-1] * shape[0], 32)
            self.a = nn.MultiheadAttention(32, 4)
            self.f = nn.Linear(32, n_classes)

        def forward(self, x):
            h = self.e(x.permute(0, 2, 1, 3).flatten(2))
            h = h + self.a(h, h, h)[0]  # batch_first forgotten
            return self.f(h.mean(1))

    return N()


def healthy_conv(shape, n_classes):
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, 1, 1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, 1, 1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, n_classes),
    )


FAULTS = {
    NeverEval: (("RC331", "RC214"), "digits"),
    SoftmaxCE: (("RC302",), "digits"),
    NoStep: (("RC202",), "digits"),
    NoZero: (("RC313",), "digits"),
    StaleOptimizer: (("RC311",), "digits"),
    HugeRate: (("RC314",), "digits"),
    AlwaysDropout: (("RC334",), "digits"),
    NoRunningStats: (("RC213", "RC321"), "digits"),
    Detached: (("RC312",), "digits"),
    WrongSoftmaxDim: (("RC304",), "digits"),
    ShuffledY: (("RC202",), "digits"),
    TestNoise: (("RC214",), "digits"),
    NllOnLogits: (("RC302",), "digits"),
    Unsorted: (("RC213", "RC214"), "digits"),
    Clipped: (("RC305",), "digits"),
    BroadcastMSE: (("RC303",), "diabetes"),
    ForgetScale: (("RC233",), "diabetes"),
    view_for_permute: (("RC213", "RC321"), "digits"),
    zero_init: (("RC323", "RC324"), "digits"),
    huge_logits: (("RC301",), "digits"),
    frozen: (("RC311",), "digits"),
    attention_over_batch: (("RC213", "RC321"), "digits"),
}
HEALTHY = ((Healthy, "digits"), (healthy_conv, "digits"), (Healthy, "breast_cancer"))
