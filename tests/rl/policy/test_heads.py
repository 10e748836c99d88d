"""Heads against PyTorch's own distributions, SciPy's, and what they promise of themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from helpers.ppo_formulas import cross_entropy, distributions, log_prob
from helpers.small_students import ACTIONS
from tutelage.rl.policy.heads import FORBIDDEN, Head, make_head, num_outputs
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.spaces import ActionSpace, CategoryGrid, Tokens

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = 6


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    """Of one to four dimensions, each with two bounds, one or none."""
    dimensions = draw(st.integers(1, 4))
    low = np.array([draw(st.floats(-8, 8, width=32)) for _ in range(dimensions)], np.float32)
    width = [draw(st.sampled_from([0.0, 1e-2, 0.5, 2.0, 1e4])) for _ in range(dimensions)]
    high = low + np.array(width, np.float32)
    for bounds, infinity in ((low, -np.inf), (high, np.inf)):
        for i in range(dimensions):
            if draw(st.integers(0, 4)) == 0:
                bounds[i] = infinity
    return spaces.Box(low, high)


@st.composite
def discretes(draw: st.DrawFn) -> ActionSpace:
    if draw(st.booleans()):
        return spaces.Discrete(draw(st.integers(1, 7)))
    return spaces.MultiDiscrete(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))


any_spaces = st.one_of(boxes(), discretes())
seeds = st.integers(0, 2**31)
scales = st.sampled_from([0.1, 1.0, 30.0])


def params_for(space: ActionSpace, seed: int, scale: float = 1.0) -> NDArray[np.float32]:
    """Of any policy, float32 [ROWS, P]; means and widths of a Gaussian in the size of the box."""
    rng = np.random.default_rng(seed)
    head = make_head(space, 1)
    numbers = scale * rng.normal(size=(ROWS, head.num_params))
    if isinstance(space, spaces.Box):
        with torch.no_grad():
            hidden = torch.from_numpy(rng.normal(size=(ROWS, 1)).astype(np.float32))
            numbers = head(hidden).double().numpy()
        numbers[:, len(space.low) :] += rng.uniform(-2, 1, (ROWS, len(space.low)))
    return numbers.astype(np.float32)


def targets_for(space: ActionSpace, params: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """Of a teacher who knows better, in the size of the policy's."""
    rng = np.random.default_rng(seed)
    head = make_head(space, 1)
    if not isinstance(space, spaces.Box):
        return head.as_targets((params + rng.normal(size=params.shape)).astype(np.float32))
    mean, deviation = np.split(params.astype(np.float64), 2, axis=1)
    deviation = np.exp(deviation)
    mean = mean + deviation * rng.normal(size=mean.shape)
    spread = (deviation * rng.uniform(0.3, 2, mean.shape)) ** 2
    return np.concatenate((mean, spread), axis=1).astype(np.float32)


def tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array))


@given(any_spaces, seeds, scales)
def test_probability_and_entropy_are_those_of_pytorchs_distributions(
    space: ActionSpace, seed: int, scale: float
) -> None:
    head, params = make_head(space, 1), params_for(space, seed, scale)
    actions = head.sample(params, np.random.default_rng(seed))[0]
    exact = tensor(params).double()
    expected = torch.stack([log_prob(space, p, a) for p, a in zip(exact, actions, strict=True)])
    found = head.log_prob(exact, tensor(actions))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    entropies = [
        torch.stack([part.entropy() for part in distributions(space, row)]).sum() for row in exact
    ]
    expected = torch.stack(entropies)
    torch.testing.assert_close(head.entropy(exact), expected, rtol=1e-6, atol=1e-6)


@given(any_spaces, seeds)
def test_cross_entropy_is_entropy_and_divergence(space: ActionSpace, seed: int) -> None:
    head, params = make_head(space, 1), params_for(space, seed)
    targets = targets_for(space, params, seed)
    exact, taught = tensor(params).double(), tensor(targets).double()
    expected = torch.stack(
        [cross_entropy(space, *pair) for pair in zip(exact, taught, strict=True)]
    )
    torch.testing.assert_close(head.cross_entropy(exact, taught), expected, rtol=1e-5, atol=1e-5)


def test_a_gaussian_is_scipys() -> None:
    head = make_head(spaces.Box(-1, 1, (2,)), 1)
    params = torch.tensor([[0.3, -2.0, math.log(0.5), math.log(3.0)]])
    action = torch.tensor([[1.1, 0.4]])
    normals = stats.norm([0.3, -2.0], [0.5, 3.0])
    assert head.log_prob(params, action).item() == pytest.approx(normals.logpdf([1.1, 0.4]).sum())
    assert head.entropy(params).item() == pytest.approx(normals.entropy().sum(), rel=1e-6)


@given(any_spaces, seeds, st.integers(1, 4))
def test_the_cross_entropy_of_a_mixture_is_the_mean_of_its_parts(
    space: ActionSpace, seed: int, plans: int
) -> None:
    """Exactly, though a mixture of Gaussians is none: two moments are all that counts."""
    rng = np.random.default_rng(seed)
    head, params = make_head(space, 1), params_for(space, seed)
    shares = rng.dirichlet(np.ones(plans), ROWS).astype(np.float32)
    each = [targets_for(space, params, seed + plan) for plan in range(plans)]
    mixed = action_targets(space).mix(shares, np.stack(each, axis=1))
    exact = tensor(params).double()
    losses = [head.cross_entropy(exact, tensor(targets).double()).numpy() for targets in each]
    expected = (shares * np.stack(losses, axis=1)).sum(axis=1)
    found = head.cross_entropy(exact, tensor(mixed).double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_cross_entropy_of_a_mixture_against_draws_of_it() -> None:
    rng = np.random.default_rng(0)
    space = spaces.Box(-1, 1, (2,))
    head = make_head(space, 1)
    shares = np.array([[0.2, 0.5, 0.3]], np.float32)
    means = np.array([[-1.0, 2.0], [0.5, 0.0], [3.0, -1.0]])
    deviations = np.array([[0.1, 1.0], [0.5, 0.3], [0.2, 0.2]])
    targets = np.concatenate((means, deviations**2), axis=1)[None].astype(np.float32)
    params = torch.tensor([[0.4, 0.1, -0.3, 0.2]])
    plans = rng.choice(3, 200_000, p=shares[0] / shares.sum())
    drawn = rng.normal(means[plans], deviations[plans]).astype(np.float32)
    losses = -head.log_prob(params.expand(len(drawn), -1), tensor(drawn)).numpy()
    mixed = tensor(action_targets(space).mix(shares, targets))
    found = head.cross_entropy(params, mixed).item()
    assert found == pytest.approx(losses.mean(), abs=5 * float(losses.std()) / 200_000**0.5)


@given(any_spaces, seeds, scales)
def test_a_sample_tells_its_own_probability_and_the_likeliest_action(
    space: ActionSpace, seed: int, scale: float
) -> None:
    head, params = make_head(space, 1), params_for(space, seed, scale)
    actions, log_probs, likeliest = head.sample(params, np.random.default_rng(seed))
    assert actions.shape == likeliest.shape == (ROWS, *(space.shape or ()))
    assert actions.dtype == likeliest.dtype == space.dtype
    assert (log_probs.dtype, log_probs.shape) == (np.float32, (ROWS,))
    again = head.log_prob(tensor(params).double(), tensor(actions))
    np.testing.assert_allclose(log_probs, again, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(likeliest, head.likeliest(params))
    assert all(space.contains(action) for action in likeliest)
    if not isinstance(space, spaces.Box):
        others = head.log_prob(tensor(params), tensor(likeliest))
        assert (others.numpy() >= log_probs - 1e-5).all()


@pytest.mark.parametrize("actions", ACTIONS)
def test_samples_follow_the_policy(actions: str) -> None:
    space, draws = ACTIONS[actions], 30_000
    head = make_head(space, 1)
    params = np.tile(params_for(space, 5)[:1], (draws, 1))
    drawn = head.sample(params, np.random.default_rng(1))[0].reshape(draws, -1)
    for i, part in enumerate(distributions(space, tensor(params[0]).double())):
        if isinstance(space, spaces.Box):
            assert stats.kstest(drawn[:, i], _cdf(part)).pvalue > 1e-3
        else:
            probs = part.probs.numpy()  # type: ignore[attr-defined]  # a Categorical
            counts = np.bincount(drawn[:, i], minlength=len(probs))
            if len(probs) > 1:
                assert stats.chisquare(counts, draws * probs).pvalue > 1e-3
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, -1])[0, 1]) < 0.03 or drawn.shape[1] == 1


def _cdf(part: torch.distributions.Distribution) -> Any:
    return lambda values: part.cdf(tensor(np.asarray(values, np.float64))).numpy()


@given(any_spaces, seeds)
def test_a_policy_taught_by_itself_stays_as_it_is(space: ActionSpace, seed: int) -> None:
    """`as_targets` is where the cross-entropy is least: the gradient there is 0."""
    head, params = make_head(space, 1), params_for(space, seed)
    targets = tensor(head.as_targets(params)).double()
    assert head.as_targets(params).dtype == np.float32
    exact = tensor(params).double().requires_grad_()
    loss = head.cross_entropy(exact, targets)
    torch.testing.assert_close(loss, head.entropy(exact), rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(loss.sum(), exact)
    unit = np.ones_like(params)
    if isinstance(space, spaces.Box):
        unit[:, : len(space.low)] = np.exp(-params[:, len(space.low) :])
    np.testing.assert_allclose(gradient.numpy() / unit, 0.0, atol=1e-5)


@given(discretes(), seeds, st.floats(0.1, 0.9))
def test_what_is_forbidden_counts_for_nothing(
    space: ActionSpace, seed: int, allowed_share: float
) -> None:
    rng = np.random.default_rng(seed)
    head, params = make_head(space, 1), params_for(space, seed, 3.0)
    mask = some_allowed(space, rng, allowed_share)
    masked = np.where(mask, params, np.float32(FORBIDDEN))
    actions, log_probs, likeliest = head.sample(masked, rng)
    chosen = head.encode(actions) + head.encode(likeliest)
    assert not chosen[~mask].any()
    exact = tensor(masked).requires_grad_()
    targets = np.where(mask, rng.random(mask.shape), 0).astype(np.float32)
    losses = (
        head.log_prob(exact, tensor(actions)),
        head.entropy(exact),
        head.cross_entropy(exact, tensor(targets)),
    )
    for loss in losses:
        assert torch.isfinite(loss).all()
        assert (loss.abs() < 1e4).all()
        (gradient,) = torch.autograd.grad(loss.sum(), exact, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert not gradient.numpy()[~mask].any()
    np.testing.assert_allclose(log_probs, losses[0].detach(), rtol=1e-4, atol=1e-4)
    found = head.as_targets(masked)
    assert not found[~mask].any()
    assert (found * mask).sum() == pytest.approx(ROWS * num_parts(space), rel=1e-5)
    uniform = action_targets(space).uniform(mask, ROWS)
    assert not uniform[~mask].any()
    even = head.entropy(tensor(np.where(mask, 0, FORBIDDEN).astype(np.float32)))
    sizes = [part.sum(axis=1) for part in np.split(mask, ends_of(space), axis=1)]
    np.testing.assert_allclose(even, np.log(sizes).sum(axis=0), atol=1e-5)


def ends_of(space: ActionSpace) -> Any:
    sizes = [space.n] if isinstance(space, spaces.Discrete) else space.nvec  # type: ignore[union-attr]
    return np.cumsum(sizes)[:-1]


def num_parts(space: ActionSpace) -> int:
    return len(ends_of(space)) + 1


def some_allowed(space: ActionSpace, rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """At least one action of each part, bool [ROWS, P]."""
    mask = rng.random((ROWS, num_outputs(space))) < share
    for part in np.split(mask, ends_of(space), axis=1):  # views
        part[np.arange(ROWS), rng.integers(part.shape[1], size=ROWS)] = True
    return mask


@given(discretes(), seeds)
def test_discrete_actions_are_told_by_ones(space: ActionSpace, seed: int) -> None:
    head = make_head(space, 1)
    actions = head.sample(params_for(space, seed), np.random.default_rng(seed))[0]
    encoded = head.encode(actions)
    assert (encoded.dtype, encoded.shape) == (np.float32, (ROWS, head.action_size))
    columns = actions.reshape(ROWS, -1) + np.array([0, *ends_of(space)])
    for row, places in zip(encoded, columns, strict=True):
        assert np.flatnonzero(row).tolist() == places.tolist()
        assert row.sum() == num_parts(space)


@given(boxes(), seeds)
def test_a_boxs_actions_are_told_in_units_of_half_its_width(space: spaces.Box, seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = make_head(space, 1)
    actions = head.sample(params_for(space, seed), rng)[0]
    encoded = head.encode(actions)
    assert (encoded.dtype, encoded.shape) == (np.float32, (ROWS, head.action_size))
    assert np.isfinite(encoded).all()
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    width = np.where(bounded & (space.high > space.low), space.high - space.low, 1.0)
    rounding = 1e-5 + 4 * np.spacing(np.abs(np.where(bounded, space.low, 1.0)) + width) / width
    assert (np.abs(encoded) <= 1.0 + rounding)[:, bounded].all()
    clipped = np.clip(actions, space.low, space.high)
    np.testing.assert_allclose(encoded[:, ~bounded], clipped[:, ~bounded], rtol=1e-5, atol=1e-5)
    wide = bounded & (space.high > space.low)
    ends = head.encode(np.stack((space.low, space.high)))[:, wide]
    assert (np.abs(ends - np.array([[-1.0], [1.0]])) <= rounding[wide]).all()


@given(boxes(), seeds)
def test_a_new_policy_acts_in_the_middle_of_the_box(space: spaces.Box, seed: int) -> None:
    """Its standard deviation is e^-0.5 of half the width, 1 where there is no width."""
    head = make_head(space, 8)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    params = head(torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 8))).float())
    mean, deviation = params.detach()[0].double().chunk(2)
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    low, high = (np.where(bounded, b, 0.0).astype(np.float64) for b in (space.low, space.high))
    width, middle = high - low, (low + high) / 2
    half = np.where(bounded & (width > 0), width / 2, 1.0)
    np.testing.assert_allclose(mean, middle, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(deviation.exp(), math.exp(-0.5) * half, rtol=1e-3)


@given(any_spaces, seeds, scales)
def test_only_of_what_counts_is_the_entropy_never_below_zero(
    space: ActionSpace, seed: int, scale: float
) -> None:
    """So only there may a loss reward a low entropy: of a density it would fall for ever."""
    head = make_head(space, 8)
    assert head.counts == (not isinstance(space, spaces.Box))
    params = tensor(params_for(space, seed, scale))
    if head.counts:
        assert (head.entropy(params) >= 0).all()
        certain = 1e4 * torch.arange(head.num_params).float()[None]
        assert head.entropy(certain).item() == pytest.approx(0, abs=1e-6)
    else:
        narrow = params.clone()
        narrow[:, head.action_size :] -= 50
        lower = head.entropy(params) - head.entropy(narrow)
        assert lower.numpy() == pytest.approx(50 * head.action_size, rel=1e-3)
        assert (head.entropy(narrow) < 0).all()


FARTHEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("bound", [1e30, FARTHEST, np.inf])
def test_bounds_that_nobody_means_are_none(bound: float) -> None:
    space = spaces.Box(-bound, bound, (1,))
    head = make_head(space, 4)
    torch.nn.init.zeros_(head.bias)
    params = head(torch.zeros(1, 4)).detach()
    assert params[0].tolist() == pytest.approx([0.0, -0.5], abs=1e-6)
    assert np.isfinite(action_targets(space).uniform(None, 1)).all()
    assert torch.isfinite(head.entropy(params)).all()


@given(any_spaces)
def test_the_layer_has_as_many_outputs_as_are_announced(space: ActionSpace) -> None:
    head: Head = make_head(space, 8)
    assert head.out_features == num_outputs(space)
    assert head(torch.zeros(2, 8)).shape == (2, head.num_params)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (2, 2)),
        spaces.Box(0, 255, (8, 8, 3), np.uint8),
        spaces.Box(0, 5, (2,), np.int64),
        spaces.MultiDiscrete([[2, 2], [2, 2]]),
        spaces.MultiBinary(3),
        spaces.Text(3),
        spaces.Tuple([spaces.Discrete(2)]),
        CategoryGrid(2, 2, 3),
        Tokens(4),
    ],
    ids=str,
)
def test_other_spaces_are_refused(space: Any) -> None:
    for make in (lambda s: make_head(s, 8), num_outputs, action_targets):
        with pytest.raises(ValueError, match="actions must be Discrete, MultiDiscrete or a Box"):
            make(space)


@settings(max_examples=20)
@given(any_spaces, seeds)
def test_the_gradient_by_the_weights_is_finite(space: ActionSpace, seed: int) -> None:
    """Also of a box without width, or with one that is hard to tell from none."""
    head = make_head(space, 8)
    params = head(torch.from_numpy(np.random.default_rng(seed).normal(size=(ROWS, 8))).float())
    numbers = params.detach().numpy()
    actions = head.sample(numbers, np.random.default_rng(seed))[0]
    targets = targets_for(space, numbers, seed)
    loss = head.log_prob(params, tensor(actions)) + head.entropy(params)
    loss = (loss + head.cross_entropy(params, tensor(targets))).sum()
    for gradient in torch.autograd.grad(loss, list(head.parameters())):
        assert torch.isfinite(gradient).all()
