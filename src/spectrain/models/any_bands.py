"""A network for any bands: what it needs to know of each band set that it is shown, and images as its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ..core.bands import Bands
from ..core.batch import Batch
from ..core.random import Key
from ..core.reconstruction import Reconstruction
from .banded import BandedModel, BandStatistics, Standardise, limits, standardisation
from .masking import Plan
from .positions import CODE, band_codes
from .tokens import Grid, cut, join, put, slots_of


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What a network is told of the bands in its tokens.

    Attributes:
        codes: float32 [groups, group_size * CODE], of each place in each group; see `positions.band_codes`.
        resolution: metres a pixel; 1 where it is not known.
    """

    codes: Tensor
    resolution: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """Images as a network for any bands sees them.

    Attributes:
        values: float32 [B,L,V], standardised, 0 where not valid.
        fed: what the encoder embeds: ``values``, or with the mask behind them [B,L,2V].
        valid: bool [B,L,V]; False also for padding. None where everything is valid and nothing is padded.
        kept: bool [B,L], at least half of what is not padding is valid; None where that is so everywhere.
        grid: how they lie in the image.
        spectrum: of the bands.
        dataset: which band set.
    """

    values: Tensor
    fed: Tensor
    valid: Tensor | None
    kept: Tensor | None
    grid: Grid
    spectrum: Spectrum
    dataset: int


class AnyBandsNetwork(Protocol):
    """What a network for any bands has besides its layers."""

    patch: int
    group_size: int
    by_wavelength: bool
    mask_channel: bool

    def require(self, bands: Bands) -> None: ...  # noqa: D102
    def plan(self, tokens: Tokens, key: Key, index: Tensor, *, everything: bool = False) -> Plan: ...  # noqa: D102
    def predict(self, tokens: Tokens, plan: Plan, *, everything: bool = False) -> Tensor: ...  # noqa: D102
    def feature_map(self, tokens: Tokens) -> Tensor: ...  # noqa: D102


class BandSet(nn.Module):
    """What standardises the images of one sensor, and tells the network of its bands.

    Mean and deviation are in the state dict; all else follows from the bands.

    Args:
        bands: one a channel.
        statistics: of each band; with its ``minimum`` and ``maximum`` where these are known.
        standardise: see `BandedModel`.
        group_size: bands in a token.
        by_wavelength: sort them before grouping.

    Attributes:
        slots: the band of each place in each group, -1 for none.
        low: smallest standardised value of each place [groups, group_size], -inf where not known.
        high: largest, likewise.
        data_range: from the smallest to the largest value of all bands, before standardising; 1 where not known.
        scale: deviation of each place's band, likewise; 1 where there is none.
        shift: mean, likewise.
    """

    mean: Tensor
    std: Tensor
    codes: Tensor
    order: Tensor
    scale: Tensor
    shift: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self, bands: Bands, statistics: BandStatistics, standardise: Standardise, group_size: int, by_wavelength: bool
    ) -> None:
        super().__init__()
        self.bands = bands
        mean, std = standardisation(bands, statistics, standardise)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.slots = slots_of(bands, group_size, by_wavelength=by_wavelength)
        self.in_order = self.slots == list(range(len(bands)))
        self.padded = -1 in self.slots
        resolutions = [band.resolution for band in bands if band.resolution]
        self.resolution = min(resolutions, default=1.0)
        self._hold("order", torch.tensor([slot if slot >= 0 else len(bands) for slot in self.slots]))
        codes = torch.cat((band_codes(bands), torch.zeros(1, CODE)))
        codes[-1, 3] = 1.0  # there is no band
        self._hold("codes", codes[self.order].view(-1, group_size * CODE))
        low, high, self.data_range = limits(statistics)
        for name, values, missing in (
            ("scale", std, 1.0),
            ("shift", mean, 0.0),
            ("low", (low - mean) / std, -torch.inf),
            ("high", (high - mean) / std, torch.inf),
        ):
            held = torch.cat((values, torch.tensor([missing])))
            self._hold(name, held[self.order].view(-1, group_size))

    def _hold(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values, persistent=False)

    def arranged(self, image: Tensor) -> Tensor:
        """Return the channels [B,C,H,W] in the order of the slots [B,S,H,W]; 0 (False) where no band is."""
        if self.in_order:
            return image
        if self.padded:
            image = torch.cat((image, image.new_zeros(image.shape[0], 1, *image.shape[2:])), 1)
        return image.index_select(1, self.order)

    def returned(self, arranged: Tensor) -> Tensor:
        """Undo `arranged`."""
        if self.in_order:
            return arranged
        places = [self.slots.index(channel) for channel in range(len(self.bands))]
        return arranged[:, places]


class AnyBands(BandedModel):
    """A network for any bands with the band sets that it was trained on.

    A batch says which set it is of (`Batch.dataset`). `for_bands` gives the same network other bands.

    Args:
        network: see `AnyBandsNetwork`.
        bands: of the first set.
        statistics: of the first set.
        standardise: see `BandedModel`.
        mask_channel: see `BandedModel`.
        image_size: height and width it was trained on, of the first set.
    """

    any_bands = True
    convolves = False

    def _take_statistics(self, statistics: BandStatistics) -> None:
        """Make the first band set."""
        self.sets = nn.ModuleList()
        self.add_bands(self.bands, statistics)

    def add_bands(self, bands: Bands, statistics: BandStatistics) -> None:
        """Learn of a further band set, the next of the data sets."""
        net = self.net
        net.require(bands)
        self.sets.append(BandSet(bands, statistics, self.standardise, net.group_size, net.by_wavelength))

    @property
    def net(self) -> AnyBandsNetwork:
        """The network, by what it can do."""
        return cast(AnyBandsNetwork, self.network)

    def band_set(self, dataset: int) -> BandSet:
        """Return one of the band sets."""
        return cast(BandSet, self.sets[dataset])

    def for_bands(self, bands: Bands, statistics: BandStatistics) -> AnyBands:
        """Return a model of the same network (not a copy) for other bands, in eval mode where this one is."""
        other = type(self)(self.network, bands, statistics, self.standardise, self.mask_channel)
        other.sets.to(self.device)
        return other.train(self.training)

    def standards(self, batch: Batch) -> tuple[Bands, Tensor, Tensor]:
        """Return bands, mean and deviation of the set that the batch is of."""
        held = self.band_set(batch.dataset)
        return held.bands, held.mean, held.std

    def grid(self, batch: Batch) -> Grid:
        """Return how images of this size and band set fall into tokens."""
        height, width = batch.image.shape[2:]
        return Grid.of(len(self.band_set(batch.dataset).slots), height, width, self.net.patch, self.net.group_size)

    def tokens(self, batch: Batch) -> Tokens:
        """Return the batch as tokens."""
        held, grid = self.band_set(batch.dataset), self.grid(batch)
        values = cut(held.arranged(self.standardised(batch)), grid)
        valid = kept = None
        if not batch.all_valid or held.padded or not grid.fits:
            valid, kept = self._validity(batch, held, grid)
        fed = values
        if self.mask_channel:
            marks = torch.ones_like(values) if valid is None else valid.to(values.dtype)
            fed = torch.cat((values, marks), 2)
        return Tokens(values, fed, valid, kept, grid, Spectrum(held.codes, held.resolution), batch.dataset)

    def _validity(self, batch: Batch, held: BandSet, grid: Grid) -> tuple[Tensor, Tensor | None]:
        """Return what is valid in each token, and which tokens are kept: half valid, padding not counted."""
        ones = torch.ones((1, *batch.image.shape[1:]), dtype=torch.bool, device=batch.image.device)
        real = cut(held.arranged(ones), grid)
        if batch.all_valid:
            return real.expand(batch.image.shape[0], -1, -1), None
        valid = cut(held.arranged(batch.valid), grid)
        return valid, valid.sum(2) * 2 >= real.sum(2)

    def forward(self, batch: Batch | Tokens, plan: Plan | None = None, *, everything: bool = False) -> Tensor:
        """Return the tokens that a plan asks for, standardised float32 [B,M,V]; see `MAESpectral.predict`.

        Without a plan, images [B,C,H,W] in, the reconstruction of all of them comes out, standardised, from the tokens
        that ``index`` makes visible.
        """
        if isinstance(batch, Tokens):
            assert plan is not None
            return self.net.predict(batch, plan, everything=everything)
        tokens = self.tokens(batch)
        plan = self.net.plan(tokens, Key(0, "forward"), batch.index, everything=True)
        index = torch.cat((plan.visible, plan.predicted), 1)
        values = put(tokens.values, index, self.net.predict(tokens, plan, everything=True))
        return self.images(values, tokens)

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Reconstruction:
        """Hide a part of each image, and return what the model makes of the rest, in the images' own unit.

        What is hidden belongs to the sample, as in a validation: a batch of a loader's is hidden alike each time.

        Args:
            batch: of a band set that it was trained on, as `spectrain.make_loader` gives it.
        """
        tokens = self.tokens(batch)
        plan = self.net.plan(tokens, batch.key, batch.index, everything=True)
        return self.composed(batch, tokens, plan, self.net.predict(tokens, plan))

    def composed(self, batch: Batch, tokens: Tokens, plan: Plan, hidden: Tensor) -> Reconstruction:
        """Return the images with the tokens that a plan hides replaced by predicted ones [B,M,V], standardised."""
        held = self.band_set(tokens.dataset)
        marks = torch.zeros_like(tokens.values, dtype=torch.bool)
        asked = torch.ones_like(plan.predicted, dtype=torch.bool) if plan.wanted is None else plan.wanted
        marks = put(marks, plan.predicted, asked[..., None].expand(-1, -1, marks.shape[2]))
        masked = self.images(marks, tokens)
        standardised = self.images(put(tokens.values, plan.predicted, hidden), tokens)
        image = torch.addcmul(held.mean.view(-1, 1, 1), standardised, held.std.view(-1, 1, 1))
        image = torch.where(masked, image, batch.filled())
        valid = None if batch.all_valid else batch.valid
        return Reconstruction(image, batch.image, valid, masked, held.data_range, held.bands)

    def images(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Return token values [B,L,V] as images [B,C,H,W], in the bands' own order."""
        return self.band_set(tokens.dataset).returned(join(values, tokens.grid))

    def features(self, batch: Batch) -> list[tuple[int, Tensor]]:
        """Return the one feature map [B,F,ceil(H/patch),ceil(W/patch)], with its stride."""
        return [(self.net.patch, self.net.feature_map(self.tokens(batch)))]

    def pooled(self, batch: Batch) -> Tensor:
        """Return the encoder's vector of each image, float32 [B,F]: its map averaged over the places that it saw.

        A place without a token that is at least half valid takes no part; an image without any such place is 0.
        """
        tokens = self.tokens(batch)
        found = self.net.feature_map(tokens).float().flatten(2)
        if tokens.kept is None:
            return found.mean(2)
        seen = tokens.kept.view(-1, tokens.grid.groups, tokens.grid.places).any(1)
        return found.sum(2) / seen.sum(1).clamp(min=1)[:, None]  # the map is 0 where nothing was seen

    def seen(self, batch: Batch) -> Tensor:
        """Return which images have a token that is at least half valid, bool [B]."""
        kept = self.tokens(batch).kept
        return super().seen(batch) if kept is None else kept.any(1)
