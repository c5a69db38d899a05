"""What was seen of a model: its attentions, figures of them, and what reached a token through all of them."""

import warnings
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor, nn

from saccade.lens.capture import flows, saved
from saccade.lens.capture.asking import explained
from saccade.lens.capture.checks import checked
from saccade.lens.capture.drawn import Shown, drawing_of, labels_of
from saccade.lens.capture.measures import Measures, Real, measured
from saccade.lens.capture.reached import Reached
from saccade.lens.capture.recorder import Mark, Recorded, Recorder
from saccade.lens.capture.site import Site
from saccade.lens.capture.stitching import Track, stitched
from saccade.lens.capture.tokens import Tokens, tokens_of
from saccade.lens.faithfulness import Faithfulness
from saccade.lens.heads import Layers
from saccade.lens.page import embedded
from saccade.lens.show import draw
from saccade.lens.tokens import Patches
from saccade.lens.views import Merge

LOOKED_FOR = (
    "attention functions of transformers, nn.MultiheadAttention, F.scaled_dot_product_attention, FlexAttention "
    "and Saccade's mechanisms"
)


class Seen:
    """What `look` saw. Attentions can be had by name, `seen["decoder.layers.0.encoder_attn"]`, or by number.

    What a model saw can be saved, and read again without the model.
    """

    def __init__(self, recorder: Recorder | None = None, tokenizer: Any = None, model: nn.Module | None = None):
        self._recorder, self._tokenizer, self._model = recorder, tokenizer, model
        self._follows = {} if recorder is None else recorder.follows
        self._inputs = [] if recorder is None else recorder.inputs
        self._sites: list[Site] = []
        self._raw: list[Recorded | Mark] = []
        self._known = 0  # how much of what was written down the sites are of
        self._tokens: Tokens | None = None

    @property
    def sites(self) -> list[Site]:
        """Every attention that was at work, in the order in which they began."""
        self._take()
        if len(self._raw) != self._known:
            self._known = len(self._raw)
            tracks = stitched(self._raw)
            self._sites = [Site(x, checked(x.records), self._followed(x, tracks)) for x in tracks]
        return self._sites

    def __getitem__(self, name: str | int) -> Site:
        sites = self.sites
        if not sites:
            raise ValueError(self._nothing())
        if isinstance(name, int):
            if not -len(sites) <= name < len(sites):
                raise ValueError(f"site must be 0 to {len(sites) - 1}, or a name; got {name}")
            return sites[name]
        for site in sites:
            if site.name == name:
                return site
        names = ", ".join(site.name for site in sites[:12]) + (", ..." if len(sites) > 12 else "")
        raise ValueError(f"site must be one of {names}; got {name!r}")

    def __len__(self) -> int:
        return len(self.sites)

    def __repr__(self) -> str:
        return f"Seen({len(self)} sites)"

    def select(self, sites: str | Sequence[str] | None = None) -> list[Site]:
        """The sites of these names, with * for anything; all of them where None.

        Raises:
            ValueError: there are none.
        """
        if sites is None:
            found = self.sites
        else:
            patterns = [sites] if isinstance(sites, str) else list(sites)
            found = [site for site in self.sites if any(fnmatch(site.name, pattern) for pattern in patterns)]
        if not found:
            raise ValueError(
                self._nothing() if not self.sites else f"sites must be some of {self._names()}; got {sites!r}"
            )
        return found

    def measure(self, *names: str, sites: str | Sequence[str] | None = None, example: int | None = None) -> Measures:
        """Figures of every head, means over real queries: nothing of [query, key] is made.

        - entropy: in nats; entropy_normalised: divided by that of looking everywhere alike.
        - coverage: the part of the input that was read, the mean of min(c_j, 1) over its slots.
        - distance: in slots.
        - sink: the mass on the first slot; special: on special tokens, which the tokenizer knows.

        Args:
            names: one or several of these.
            sites: names, with * for anything; all where None.
            example: one sequence of the batch; all of them where None.

        Raises:
            ValueError: a measure, sites or an example that there are not.
        """
        found = self.select(sites)
        batch = max(site.shape[0] for site in found)
        if example is not None and not 0 <= example < batch:
            raise ValueError(f"example must be 0 to {batch - 1}; got {example}")

        def real(site: Site) -> Real:
            which = slice(None) if example is None else slice(one := example * site.shape[0] // batch, one + 1)
            return self._real(site)._replace(which=which)

        return measured(found, names, real)

    def rollout(self, target: int | Tensor = -1, *, sites: str | Sequence[str] | None = None) -> Reached:
        """How much of each input token is in one position of the last layer (Abnar and Zuidema 2020).

        Args:
            target: the position, or one for each sequence; -1 is the last that is no padding.
            sites: the layers, where the model has several stacks of them.

        Raises:
            ValueError: no such target, or layers that are not one stack of self-attentions.
        """
        return self._reached(flows.rollout, target, sites)

    def relevance(self, target: int | Tensor = -1, *, sites: str | Sequence[str] | None = None) -> Reached:
        """How much each input token matters for what the loss took from one position (Chefer et al. 2021).

        Args:
            target, sites: as of `rollout`.

        Raises:
            ValueError: as `rollout`; or gradients were not asked for, or there was no backward pass.
        """
        return self._reached(flows.relevance, target, sites)

    def _reached(self, flow: flows.Flow, target: int | Tensor, sites: str | Sequence[str] | None) -> Reached:
        stack = flows.stack_of(self.select(sites))
        _, read = self.tokens.of("self", *stack[0].shape[2:])
        real = None if read is None else read.real
        at = flows.positions(stack, target, real)
        batch, _, _, slots = stack[0].shape
        labels = tuple(tuple(labels_of(read, example, range(slots))) for example in range(batch))
        special = None if read is None else read.special
        return Reached(flow(stack, at), labels, tuple(at.tolist()), real, special)

    def drawing(
        self,
        *,
        example: int = 0,
        sites: str | Sequence[str] | None = None,
        rows: Sequence[int] | slice | None = None,
        head: str | int | None = None,
        merge: Merge = "pieces",
        measures: Sequence[str] = ("entropy",),
        faithfulness: Faithfulness | None = None,
        image: ArrayLike | Patches | None = None,
    ) -> Layers:
        """What one sequence looked at, as plain arrays and labels, for whoever draws.

        Args:
            example: which sequence of the batch; its padding is left out.
            sites: names, with * for anything; all where None.
            rows: which queries, where all would be too many: places, or a stretch of each site; -1 is the last.
            head: one head of each site, or "mean" or "max"; all where None.
            merge: "words" puts the pieces of words together.
            measures: figures of each head to tell beside it, as of `measure`.
            faithfulness: curves to show beside it, as `faithfulness` gives them.
            image: of a model of images, what it saw: pixels, uint8 `[height, width, 3]`, whose patches are the largest
                square that the slots hold; or `saccade.lens.tokens.patches`, which says where they are.

        Raises:
            ValueError: no such example, sites, rows, heads or measures; or so many weights that somebody must say
                which rows.
        """
        found = self.select(sites)
        table = self.measure(*measures, sites=[site.name for site in found], example=example) if measures else None
        return drawing_of(
            found,
            self.tokens,
            Shown(example, rows, image),
            measures=table,
            head=head,
            merge=merge,
            faithfulness=faithfulness,
        )

    def show(
        self,
        *,
        sites: str | Sequence[str] | None = None,
        rows: Sequence[int] | None = None,
        head: str | int | None = None,
        example: int = 0,
        merge: Merge = "pieces",
        measures: Sequence[str] = ("entropy",),
        faithfulness: Faithfulness | None = None,
        image: ArrayLike | Patches | None = None,
        title: str = "",
        terminal: bool = True,
        png: Path | str | None = None,
        page: Path | str | None = None,
    ) -> None:
        """Draw what one sequence looked at: in the terminal, as a picture, as a page. The arguments are those of
        `drawing`, and of `saccade.show`.
        """
        drawing = self.drawing(
            example=example,
            sites=sites,
            rows=rows,
            head=head,
            merge=merge,
            measures=measures,
            faithfulness=faithfulness,
            image=image,
        )
        draw(drawing, title=title, terminal=terminal, png=png, page=page)

    def page(
        self,
        path: Path | str,
        *,
        sites: str | Sequence[str] | None = None,
        rows: Sequence[int] | None = None,
        example: int = 0,
        merge: Merge = "pieces",
        measures: Sequence[str] = ("entropy",),
        faithfulness: Faithfulness | None = None,
        image: ArrayLike | Patches | None = None,
        title: str = "",
    ) -> None:
        """Write one offline HTML page of every layer and head; the arguments are those of `drawing`."""
        drawing = self.drawing(
            example=example,
            sites=sites,
            rows=rows,
            merge=merge,
            measures=measures,
            faithfulness=faithfulness,
            image=image,
        )
        draw(drawing, title=title or self._title(example), terminal=False, page=path)

    def figure(
        self,
        path: Path | str,
        *,
        sites: str | Sequence[str] | None = None,
        rows: Sequence[int] | None = None,
        head: str | int | None = None,
        example: int = 0,
        merge: Merge = "pieces",
        image: ArrayLike | Patches | None = None,
        title: str = "",
    ) -> None:
        """Write a picture, .png, .svg or .pdf: one map, or a grid of heads; the arguments are those of `drawing`."""
        drawing = self.drawing(
            example=example, sites=sites, rows=rows, head=head, merge=merge, measures=(), image=image
        )
        draw(drawing, title=title, terminal=False, png=path)

    def _repr_html_(self) -> str:
        """The page of the first sequence, in a frame of its own, for notebooks."""
        return embedded([self.drawing()], title=self._title(0))._repr_html_()

    def _title(self, example: int) -> str:
        side = self.tokens.source
        if side is None or side.texts is None or self._tokenizer is None:
            return "What the model looked at"
        return str(self._tokenizer.decode(side.ids[min(example, len(side.ids) - 1)], skip_special_tokens=True))

    def faithfulness(
        self, target: int | None = None, *, example: int = 0, steps: int = 10, random: int = 10
    ) -> Faithfulness:
        """What attention explains of an answer: curves of taking away and putting back what it points at.

        The model is asked again with tokens hidden from every attention, and the probability of its answer told: of
        a classifier's class, or of a language model's next token. Explanations are `attention`, the mean of the last
        layer's heads; `rollout`; `gradient`, of the probability times the embedding (Shrikumar et al. 2016); and
        `random` orders, to compare with.

        Args:
            target: the class or the token; the likeliest where None.
            example: which sequence.
            steps: of a curve.
            random: how many random orders.

        Raises:
            ValueError: a model without logits, embedding or one stack of layers, no tokenizer, or no such target.
        """
        return explained(self.sites, self.tokens, self._model, target, example=example, steps=steps, random=random)

    @property
    def tokens(self) -> Tokens:
        """The tokens of the latest run, as far as the model was given any."""
        if self._tokens is None:
            return tokens_of(self._inputs[-1] if self._inputs else {}, self._tokenizer)
        return self._tokens

    def save(self, folder: Path | str) -> None:
        """Save everything into a folder, as safetensors and JSON.

        Raises:
            ValueError: a mask that is a function and too large to be written out.
            OSError: the folder cannot be written.
        """
        saved.save(folder, self.sites, self.tokens)

    @classmethod
    def load(cls, folder: Path | str) -> "Seen":
        """What `save` saved.

        Raises:
            ValueError: no such folder, or one that holds something else.
        """
        seen = cls()
        seen._sites, seen._tokens = saved.load(folder)
        return seen

    def close(self, *, quiet: bool) -> None:
        """Say what is worth a warning, once what was looked at is over."""
        self._take()
        self._recorder = None
        if quiet:
            return
        if not self.sites:
            warnings.warn(self._nothing(), stacklevel=3)
        by_status: dict[str, list[str]] = {}
        for site in self.sites:
            if (line := site.check.warning(site.name)) is not None:
                by_status.setdefault(site.check.status, []).append(line)
        for lines in by_status.values():
            more = f" (and {len(lines) - 1} more sites)" if len(lines) > 1 else ""
            warnings.warn(lines[0] + more, stacklevel=3)

    def _followed(self, track: Track, tracks: Sequence[Track]) -> Tensor | None:
        """Which of a track's batch the sequences that a generation returned are, step by step."""
        follow = self._follows.get(track.generation or 0)
        if follow is None:
            return None
        sizes = [x.records[0].piece.shape[0] for x in tracks if x.generation == track.generation]
        # An encoder reads each sequence once for all of its beams; -1, for none, stays.
        return follow.div(max(sizes) // track.records[0].piece.shape[0], rounding_mode="floor")

    def _take(self) -> None:
        """Take over what was written down; the recorder may be used again, and must hold nothing."""
        if self._recorder is not None:
            self._recorder.settle()
            self._raw += self._recorder.settled
            self._recorder.settled = []

    def _nothing(self) -> str:
        if not self._raw:
            return "look saw nothing: the model did not run inside it, or in another thread"
        return f"look saw no attention; it looked for {LOOKED_FOR}"

    def _names(self) -> str:
        return ", ".join(site.name for site in self.sites[:12])

    def _real(self, site: Site) -> Real:
        """Which rows and slots of a site are real, where the tokens say it."""
        query, key = self.tokens.of(site.kind, *site.shape[2:])
        places = list(site.places)
        rows = None if query is None or query.real is None else query.real[:, places]
        return Real(rows, None if key is None else key.real, None if key is None else key.special)
