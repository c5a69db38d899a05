"""What the tasks that write down files have in common: lists of files with texts, and a corpus of arrays."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from saccade.data import tokens
from saccade.data.listed import Listed, ListFile
from saccade.data.scaling import Moments
from saccade.data.writtencorpus import WrittenBatch, WrittenCorpus
from saccade.errors import DataError, OptionError
from saccade.runs import Run
from saccade.tasks.base import Figures, Say, Start, Task, held_out, skipped_lines
from saccade.tasks.write.codec import WriteCodec
from saccade.tasks.write.options import WriteOptions

Parts = tuple[WrittenCorpus, WrittenCorpus]
SAMPLE = 500  # files that the scale is taken from

WriteOptionsT = TypeVar("WriteOptionsT", bound=WriteOptions)


class WriteTask(Task[WriteOptionsT, Listed, WriteCodec, WrittenBatch]):
    """Files with texts. A subclass says how a file becomes an array, `[..., dim]`."""

    @abstractmethod
    def array(self, path: Path, options: WriteOptionsT) -> NDArray[Any]:
        """What a file holds.

        Raises:
            DataError: it cannot be read as what it should be.
        """

    @abstractmethod
    def kind(self, paths: Sequence[Path]) -> str:
        """What files are, by their names.

        Raises:
            DataError: they are not all of one kind.
        """

    def scaled(self, options: WriteOptionsT) -> bool:
        """Whether inputs are standardised by what the training files had."""
        return True

    def files(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: WriteOptionsT) -> ListFile:
        """Lists of files with their texts."""
        return self._listed(paths, columns, options)

    def inputs(self, paths: tuple[Path, ...], columns: tuple[str, ...], options: WriteOptionsT) -> ListFile:
        """Lists of files."""
        return self._listed(paths, columns, options, unlabelled=True)

    def _listed(
        self, paths: tuple[Path, ...], columns: tuple[str, ...], options: WriteOptionsT, *, unlabelled: bool = False
    ) -> ListFile:
        if len(columns) != 2:
            raise OptionError(f"--columns must be two names, {','.join(self.columns)}; got {','.join(columns)!r}")
        folder = None if options.folder is None else Path(options.folder)
        names = (columns[0], columns[1])
        # Answers are a line a file, in order: none is left out.
        skip_bad = options.skip_bad and not unlabelled
        return ListFile(paths, names, folder, skip_bad=skip_bad, unlabelled=unlabelled)

    def parts(self, start: Start, options: WriteOptionsT, say: Say) -> tuple[Iterable[Listed], Iterable[Listed]]:
        """Held out by the file, as the list names it, so that a folder that was moved is parted as before."""
        self.kind([listed.path for listed in start.train])
        return held_out(start, options.seed, lambda listed: listed.name, self.noun, say)

    def learn(self, start: Start, training: Iterable[Listed], options: WriteOptionsT) -> WriteCodec:
        """The vocabulary of the texts, and the scale of some of the files."""
        examples = list(training)
        texts = (text for listed in examples for text in listed.texts)
        vocabulary = tokens.learn(texts, options.level, options.vocab_size)
        kind = self.kind([listed.path for listed in examples])
        order = np.random.default_rng([options.seed, 2]).permutation(len(examples))
        mean, std = self._scale([examples[i] for i in order[:SAMPLE].tolist()], options)
        if not self.scaled(options):
            mean, std = (0.0,) * len(mean), (1.0,) * len(std)
        return WriteCodec(vocabulary, kind, mean, std)

    def _scale(self, examples: Sequence[Listed], options: WriteOptionsT) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of the last axis over some files."""
        moments, width, bad = Moments(), 0, ""
        for listed in examples:
            try:
                array = self.array(listed.path, options)
            except DataError as error:
                if not options.skip_bad:
                    raise
                bad = bad or str(error)
                continue
            if width not in (0, array.shape[-1]):
                raise DataError(f"{listed.path}: expected {width} numbers a frame, as before; got {array.shape[-1]}")
            width = array.shape[-1]
            moments.add(array)
        if not width:
            raise DataError(f"expected some {self.noun} that can be read; got none, such as {bad}")
        scale = moments.scaler()
        return tuple(scale.mean.tolist()), tuple(scale.std.tolist())

    def write_codec(self, run: Run, codec: WriteCodec) -> None:
        """A tokenizer and a scale."""
        codec.write(run)

    def read_codec(self, run: Run) -> WriteCodec:
        """A tokenizer and a scale."""
        return WriteCodec.read(run)

    def corpus(
        self, folder: Path, name: str, examples: Iterable[Listed], codec: WriteCodec, options: WriteOptionsT
    ) -> "WrittenFiles":
        """The arrays of the files, with their encoded texts."""
        return WrittenFiles(self, folder, name, examples, codec, options)

    def report(self, start: Start, options: WriteOptionsT, parts: tuple[Any, Any], say: Say) -> None:
        """Empty lines, files that were left out, texts that are too long, tokens that a fine-tuned model never saw."""
        skipped_lines(start, say)
        for file in filter(None, (start.train, start.valid)):
            if file.missing:
                say(f"{file}: left out {file.missing} files that are not there (--skip-bad)")
        for name, part in zip(("training", "validation"), parts, strict=True):
            if part.unreadable:
                such = f"such as {part.first_unreadable}"
                say(f"left out {part.unreadable} {name} {self.noun} that cannot be read, {such}")
            if part.too_long:
                say(f"left out {part.too_long} {name} texts longer than {options.max_length} tokens (--max-length)")
            if not len(part):
                raise OptionError(f"expected some {name} {self.noun} that can be used; got none")
        if start.parent is not None and parts[0].unknown:
            say(f"{start.train}: {parts[0].unknown} tokens were never seen by {start.parent} and are read as unknown")

    def described(self, start: Start, parts: tuple[Any, Any]) -> dict[str, Any]:
        """What was left out, and how large inputs and texts are, which bounds answers."""
        training = parts[0]
        longest = {"input": int(training.sizes.max()), "target": int(training.target_sizes.max())}
        left_out = {"missing": start.train.missing, "unreadable": training.unreadable, "too_long": training.too_long}
        return {"skipped_empty_lines": start.train.skipped, "left_out": left_out, "longest": longest}

    def rank(self, figures: Figures) -> tuple[float, ...]:
        """The fewest edits, then the lowest loss."""
        return (figures["error_rate"], figures["loss"])


class WrittenFiles(WrittenCorpus):
    """The corpus of some files; `unreadable` of them were left out, the first of which is said why."""

    def __init__(
        self,
        task: WriteTask[Any],
        folder: Path,
        name: str,
        examples: Iterable[Listed],
        codec: WriteCodec,
        options: WriteOptions,
    ):
        self.unreadable, self.first_unreadable = 0, ""
        read = self._read(task, examples, codec, options)
        super().__init__(folder, name, read, codec.vocabulary, options.max_length)

    def _read(
        self, task: WriteTask[Any], examples: Iterable[Listed], codec: WriteCodec, options: WriteOptions
    ) -> Iterator[tuple[NDArray[Any], list[str]]]:
        # Captions of one image mostly stand one after the other: it is read and kept once.
        for path, several in groupby(examples, key=lambda listed: listed.path):
            texts = [text for listed in several for text in listed.texts]
            try:
                array = task.array(path, options)
                codec.check(path, task.kind([path]), array.shape[-1])
            except DataError as error:
                if not options.skip_bad:
                    raise
                self.unreadable, self.first_unreadable = self.unreadable + 1, self.first_unreadable or str(error)
                continue
            yield array, texts
