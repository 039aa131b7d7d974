"""Training: it learns, repeats itself, keeps zeros, and says when it diverged."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F

from dse import data, train
from dse.config import LayerConfig
from dse.data import Augmentation, Split
from dse.integer import IntegerNetwork
from dse.integer.kernels import Evaluator, quantize_input
from dse.models.lenet5 import LeNet5
from dse.train import Diverged, Schedule

CONFIG = dict.fromkeys(("conv1", "conv2", "conv3", "fc1", "fc2"), LayerConfig(0.5, 4, 4))
SHORT = Schedule(epochs=1, lr=2e-3, batch_size=32)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On networks this small, more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def split() -> Split:
    whole = data.load("digits").train
    return Split(whole.images[:320], whole.labels[:320])


@pytest.fixture(scope="module")
def baseline(split: Split) -> LeNet5:
    """LeNet-5 that knows these digits."""
    torch.manual_seed(0)
    net = LeNet5(8)
    train.fit(net, split, Schedule(epochs=8, lr=5e-3, batch_size=32), generator())
    return net


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(split: Split, seed: int) -> LeNet5:
    """A new network after one epoch in an order drawn from `seed`."""
    torch.manual_seed(0)
    net = LeNet5(8)
    train.fit(net, split, SHORT, generator(seed))
    return net


def finetuned(
    baseline: LeNet5, split: Split, schedule: Schedule = SHORT, seed: int = 0
) -> tuple[LeNet5, IntegerNetwork]:
    net = copy.deepcopy(baseline)
    teacher = train.logits_of(baseline, split.images)
    return net, train.finetune(
        net, CONFIG, train.Lessons(split, teacher), schedule, generator(seed)
    )


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(
        torch.equal(parameter, other.get_parameter(name))
        for name, parameter in one.named_parameters()
    )


def test_fit_learns_the_images(baseline: LeNet5, split: Split) -> None:
    logits = train.logits_of(baseline, split.images)
    assert float(F.cross_entropy(logits, split.labels)) < 0.5 * math.log(10)  # chance is ln 10
    right, count = train.float_accuracy(baseline, split)
    assert count == 320
    assert right > 0.85 * count


def test_fit_leaves_the_network_in_float_and_evaluation_mode(baseline: LeNet5) -> None:
    assert not baseline.training
    assert baseline(torch.zeros(1, 1, 28, 28)).dtype == torch.float32


def test_fit_repeats_itself_under_the_same_generator(split: Split) -> None:
    assert same_weights(fitted(split, seed=1), fitted(split, seed=1))


def test_fit_depends_on_the_generator(split: Split) -> None:
    assert not same_weights(fitted(split, seed=1), fitted(split, seed=2))


def test_fit_calls_back_after_every_step(split: Split) -> None:
    steps: list[None] = []
    train.fit(LeNet5(8), split, SHORT, generator(), lambda: steps.append(None))
    assert len(steps) == 10  # 320 images in batches of 32


class Noted(torch.nn.Module):
    """A network that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(28 * 28, 10)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.detach().clone())
        logits: torch.Tensor = self.fc(x.flatten(1))
        return logits


def test_fit_trains_a_plain_module_on_augmented_images(split: Split) -> None:
    net = Noted()
    moving = dataclasses.replace(SHORT, augmentation=Augmentation(shift=2))
    train.fit(net, split, moving, generator())
    originals = {image.numpy().tobytes() for image in split.images}
    shown = [image.numpy().tobytes() in originals for batch in net.seen for image in batch]
    assert len(shown) == 320
    assert sum(shown) < 40  # one of 25 moves is none: 13 are expected
    assert not net.training


def test_finetune_asks_the_teacher_about_the_images_it_moved(
    baseline: LeNet5, split: Split
) -> None:
    moving = dataclasses.replace(SHORT, augmentation=Augmentation(shift=2))
    net, network = finetuned(baseline, split, moving)
    same, again = finetuned(baseline, split, moving)
    assert same_weights(net, same)
    assert not same_weights(net, finetuned(baseline, split)[0])
    assert train.integer_accuracy(network, split) == train.integer_accuracy(again, split)
    # answers for other images would be noise to it: the precomputed ones are not what it is taught
    wrong = train.Lessons(split, torch.zeros(320, 10))
    taught = copy.deepcopy(baseline)
    train.finetune(taught, CONFIG, wrong, moving, generator())
    assert same_weights(taught, net)


def test_whatever_finetuning_starts_from_the_baseline_is_the_teacher(
    baseline: LeNet5, split: Split
) -> None:
    moving = dataclasses.replace(SHORT, augmentation=Augmentation(shift=2))
    other = copy.deepcopy(baseline)
    torch.nn.init.normal_(other.get_parameter("fc2.weight"))
    taught = []
    for teacher in (baseline, other, None):
        net = copy.deepcopy(baseline)
        lessons = train.Lessons(split, torch.zeros(320, 10), teacher)
        train.finetune(net, CONFIG, lessons, moving, generator())
        taught.append(net)
    by_baseline, by_other, by_itself = taught
    assert same_weights(by_baseline, by_itself)
    assert not same_weights(by_baseline, by_other)
    assert not any(p.grad is not None for p in other.parameters())  # a teacher does not learn


def test_no_epochs_change_nothing(baseline: LeNet5, split: Split) -> None:
    net = copy.deepcopy(baseline)
    train.fit(net, split, dataclasses.replace(SHORT, epochs=0), generator())
    assert same_weights(net, baseline)


@pytest.mark.parametrize("gradual", [0.0, 0.5, 1.0])
def test_finetune_reaches_the_prune_ratios_and_keeps_zeros(
    baseline: LeNet5, split: Split, gradual: float
) -> None:
    net, network = finetuned(baseline, split, dataclasses.replace(SHORT, gradual=gradual))
    for layer in network.layers:
        zeros = net.layers[layer.name].weight.detach() == 0
        assert float(zeros.float().mean()) == pytest.approx(0.5, abs=1 / 150)
        assert (layer.weights.values[zeros.numpy()] == 0).all()


def test_one_shot_pruning_keeps_exactly_the_zeros_it_made(baseline: LeNet5, split: Split) -> None:
    pruned, _ = finetuned(baseline, split, dataclasses.replace(SHORT, epochs=0))
    net, _ = finetuned(baseline, split)
    for name, layer in net.layers.items():
        assert torch.equal(layer.weight == 0, pruned.layers[name].weight == 0)


def test_finetune_has_the_configs_bits(baseline: LeNet5, split: Split) -> None:
    _, network = finetuned(baseline, split)
    assert {layer.weights.bits for layer in network.layers} == {4}
    assert {network.input_grid_of(layer).bits for layer in network.layers} == {4}


def test_finetune_repeats_itself_under_the_same_generator(baseline: LeNet5, split: Split) -> None:
    (one, _), (other, _) = (finetuned(baseline, split, seed=3) for _ in range(2))
    assert same_weights(one, other)


def test_finetuning_improves_the_integer_network(baseline: LeNet5, split: Split) -> None:
    right = []
    for epochs in (0, 4):
        _, network = finetuned(baseline, split, dataclasses.replace(SHORT, epochs=epochs))
        right.append(train.integer_accuracy(network, split)[0])
    assert right[1] > max(right[0], 0.85 * 320)


def test_integer_accuracy_counts_the_evaluators_answers(baseline: LeNet5, split: Split) -> None:
    _, network = finetuned(baseline, split)
    outputs = Evaluator(network)(quantize_input(network, split.images))
    right = int((outputs.argmax(1) == split.labels).sum())
    assert train.integer_accuracy(network, split) == (right, 320)


WRECKED: dict[str, Callable[[Split], tuple[Split, Schedule]]] = {
    "lr": lambda split: (split, dataclasses.replace(SHORT, lr=1e9)),
    "nan images": lambda split: (Split(split.images * math.nan, split.labels), SHORT),
    # one step: its loss is finite, the weights after it are not
    "last step": lambda split: (split, Schedule(epochs=1, lr=1e45, batch_size=320)),
}


@pytest.mark.parametrize("wreck", WRECKED.values(), ids=WRECKED.keys())
def test_fit_says_that_it_diverged(
    split: Split, wreck: Callable[[Split], tuple[Split, Schedule]]
) -> None:
    with pytest.raises(Diverged, match=r"the training loss became|the last training step left"):
        train.fit(LeNet5(8), *wreck(split), generator())


@pytest.mark.parametrize("batch_size", [32, 320])
def test_finetune_says_that_it_diverged(baseline: LeNet5, split: Split, batch_size: int) -> None:
    with pytest.raises(Diverged, match=r"the training loss became|the last training step left"):
        finetuned(baseline, split, Schedule(epochs=1, lr=1e9, batch_size=batch_size))
