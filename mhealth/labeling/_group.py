"""Leads labelled together: which waves exist is decided once, their edges lead by lead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Recording, Spans
from mhealth.crf import CommittedSpans, Potentials, SpanDecoder, span_expectations, span_viterbi
from mhealth.labeling._features import RawFeatures, code, side_by_side
from mhealth.labeling._lead import LeadStream
from mhealth.labeling._network import NetworkContext
from mhealth.labeling._nodes import Nodes, NodeStream

if TYPE_CHECKING:
    from mhealth.labeling._model import Model
    from mhealth.labeling._task import Task

__all__ = ["GroupStream", "Row", "label_groups"]

Row = tuple[int, int, int, int, int, float]
"""Onset, peak, offset, label, lead, probability."""

_Said = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""What a lead says at nodes, and at which it says anything."""

_KEPT = 1.0
"""Seconds of signal kept before the oldest span that is not reported."""


def _slack(task: Task) -> float:
    """Return the seconds that the lag of the decoder is shorter than that of the labels.

    The node that shows a wave to be over may follow the moment at which it is; and a network describes nodes late.
    """
    context = task.front_end.features.context
    late = context.late if isinstance(context, NetworkContext) else 0.0
    return task.front_end.segmenter.longest_gap + 2 * task.farthest_edge + late


class _Decoder(Protocol):
    """What turns nodes into spans: the fixed-lag stream, or the whole stretch at once."""

    def push(self, times: NDArray[np.float64], potentials: Potentials) -> CommittedSpans: ...

    def close_stretch(self, time: float) -> CommittedSpans: ...


class WholeStretchDecoder:
    """Viterbi and marginals over whole stretches: best labels, once the stretch has ended."""

    def __init__(self, model: Model) -> None:
        self._grammar, self._weights = model.task.grammar, model.weights
        self._nodes: list[tuple[NDArray[np.float64], Potentials]] = []
        self._position = 0

    def push(self, times: NDArray[np.float64], potentials: Potentials) -> CommittedSpans:
        """Keep the nodes; nothing is certain yet."""
        self._nodes.append((times, potentials))
        none = np.empty(0, np.int64)
        return CommittedSpans(
            start=none, stop=none, start_time=np.empty(0), stop_time=np.empty(0), state=none,
            continued=np.empty(0, bool), occupancy=np.empty(0),
        )  # fmt: skip

    def close_stretch(self, time: float) -> CommittedSpans:
        """Decode the stretch."""
        self._nodes.append((np.array([time]), Potentials.zeros(1, self._grammar.n_states, np.float32)))
        times = np.concatenate([part for part, _ in self._nodes])
        potentials = Potentials(*(np.concatenate(parts) for parts in zip(*(p for _, p in self._nodes), strict=True)))
        arguments = (potentials, times, [len(times)], self._weights, self._grammar)
        paths, expected = span_viterbi(*arguments), span_expectations(*arguments)
        states = np.repeat(paths.state, paths.stop - paths.start)
        spans = CommittedSpans(
            start=paths.start + self._position,
            stop=paths.stop + self._position,
            start_time=times[paths.start],
            stop_time=times[paths.stop],
            state=paths.state,
            continued=np.zeros(len(paths), bool),
            occupancy=expected.occupancy[np.arange(len(states)), states].astype(np.float64),
        )
        self._nodes = []
        self._position += len(times)
        return spans


class _Voice:
    """What one lead says of its own candidates, until the group's nodes there are decoded."""

    def __init__(self, model: Model, reach: int) -> None:
        rate = model.task.front_end.rate
        self.shift = np.float32(rate * model.task.shift_unit)  # samples
        # A lead has a say so far from its last candidate, which is as far as its neighbours are apart, and a little.
        self.farthest = round(model.task.front_end.segmenter.longest_gap * rate) + 5
        self.reach = reach  # samples from a node within which the lead may have its edges: none if it is alone
        self.positions = np.empty(0, np.int64)  # candidates that wait for the other leads, or for their quality
        self.outputs = np.empty((0, model.emission.n_outputs), np.float32)

    def take(self, nodes: NDArray[np.int64], era: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return what the lead says at nodes, and at which it says anything; zeros where it does not.

        What a lead says is always said of one of its own candidates, as it was trained. A node gathers the inside
        scores of those in its cluster; the middle score and the shifts of the nearest one within `reach`, else of the
        one before; and for each edge the best score within `reach`: edges of one wave differ that much between leads.

        Parameters
        ----------
        nodes : ndarray of int64, shape (3, n)
            First sample of each cluster, its node, and the sample before which it ends.
        era : tuple of float
            Samples between which candidates count.
        """
        first, middle, stop = nodes
        heard = slice(*np.searchsorted(self.positions, era))
        positions, own, n_states = self.positions[heard], self.outputs[heard], self.outputs.shape[1] // 6
        if not self.reach and len(middle) <= len(positions):
            at = np.minimum(np.searchsorted(positions, middle), len(positions) - 1)
            if (positions[at] == middle).all():  # alone, its own candidates are the nodes
                return own[at], np.ones(len(middle), bool)
        outputs = np.zeros((len(middle), self.outputs.shape[1]), np.float32)
        if not len(positions):
            return outputs, np.zeros(len(middle), bool)
        low, high = np.searchsorted(positions, middle - self.reach), np.searchsorted(positions, middle + self.reach + 1)
        after = np.searchsorted(positions, middle)
        before = np.maximum(after - 1, 0)
        is_nearer = positions[np.minimum(after, len(positions) - 1)] - middle < middle - positions[before]
        source = np.where((after < high) & (is_nearer | (after == low)), after, after - 1)
        present = (source >= 0) & (middle - positions[np.maximum(source, 0)] <= self.farthest)
        outputs[present] = own[source[present]]
        outputs[present, 4 * n_states :] += ((positions[source] - middle)[present, None] / self.shift).astype(
            np.float32
        )
        outputs[:, :n_states] = 0.0
        begin, end = np.searchsorted(positions, first), np.searchsorted(positions, stop)
        for k in range(int((end - begin).max(initial=0))):
            rows = np.flatnonzero(begin + k < end)
            outputs[rows, :n_states] += own[begin[rows] + k, :n_states]
        edges = slice(n_states, 3 * n_states)
        for k in range(int((high - low).max(initial=0))):
            rows = np.flatnonzero(present & (low + k < high))
            outputs[rows, edges] = np.maximum(outputs[rows, edges], own[low[rows] + k, edges])
        return outputs, present

    def forget(self, before: int) -> None:
        """Drop candidates that no node from sample `before` on is told by."""
        done = int(np.searchsorted(self.positions, before - (self.farthest + self.reach)))
        self.positions, self.outputs = self.positions[done:], self.outputs[done:]


class _Late:
    """Leads that speak one by one, each of its own candidates: the model knows any single lead."""

    def __init__(self, model: Model, n_leads: int, reach: int) -> None:
        self._model = model
        self._voices = [_Voice(model, reach) for _ in range(n_leads)]

    def hear(self, stream: NodeStream, nodes: Nodes) -> None:
        """Take what the leads describe now."""
        model = self._model
        for voice, raw in zip(self._voices, stream.describe_own(nodes), strict=True):
            if len(raw.positions):
                outputs = model.emission.outputs(code(raw, model.dictionaries, model.n_nonzero))
                voice.positions = np.concatenate([voice.positions, raw.positions])
                voice.outputs = np.concatenate([voice.outputs, outputs])

    def say(self, nodes: NDArray[np.int64], usable: NDArray[np.bool_], era: tuple[float, float]) -> Iterator[_Said]:
        """Yield the outputs of each lead at nodes, shape (n, n_outputs), and where there are any.

        Parameters
        ----------
        nodes : ndarray of int64, shape (3, n)
            Clusters, as `Nodes` has them.
        usable : ndarray of bool, shape (n_leads, n)
            Where the leads are usable.
        era : tuple of float
            Samples between which candidates count.
        """
        for voice, is_usable in zip(self._voices, usable, strict=True):
            outputs, present = voice.take(nodes, era)
            present &= is_usable
            outputs[~present] = 0.0
            yield outputs, present

    def forget(self, before: int) -> None:
        """Drop what no node from sample `before` on needs."""
        for voice in self._voices:
            voice.forget(before)


class _Early:
    """Leads that speak as one, their codes side by side: the model knows these leads, and what all of them show."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._raw = [RawFeatures.empty(model.task.front_end.features) for _ in model.leads]  # of nodes to be decoded

    def hear(self, stream: NodeStream, nodes: Nodes) -> None:
        """Take what the leads describe now."""
        new = stream.describe_shared(nodes)
        self._raw = [RawFeatures.concat(parts) for parts in zip(self._raw, new, strict=True)]

    def say(self, nodes: NDArray[np.int64], usable: NDArray[np.bool_], era: tuple[float, float]) -> Iterator[_Said]:
        """Yield the outputs at nodes once for each lead, and where it took part in them; see `_Late.say`."""
        model = self._model
        raw, present = side_by_side(self._raw, nodes[1], usable)
        outputs = model.emission.outputs(code(raw, model.dictionaries, model.n_nonzero))
        for took_part in present:
            yield np.where(took_part[:, None], outputs, np.float32(0.0)), took_part

    def forget(self, before: int) -> None:
        """Drop what no node from sample `before` on needs."""
        self._raw = [raw.select(raw.positions >= before) for raw in self._raw]


class _Lead:
    """One lead of a group: its stream, and what it has said of nodes that are not yet reported."""

    def __init__(self, stream: LeadStream, n_outputs: int) -> None:
        self.stream = stream
        self.node_outputs = np.empty((0, n_outputs), np.float32)  # of the group's nodes
        self.present = np.empty(0, bool)  # where it has a say
        self.usable = np.empty(0, bool)  # where it can have a wave
        self.raw = np.empty(0, np.float32)  # input samples that waves still to come may cover
        self.raw_start = 0
        self.bad_since = -1  # input sample at which the present unusable stretch started
        self.bad: list[tuple[int, int]] = []  # unusable stretches that waves still to come may touch
        self.last_offset = 0

    def extend(self, outputs: NDArray[np.float32], present: NDArray[np.bool_], usable: NDArray[np.bool_]) -> None:
        """Take what the lead says at the group's next nodes, where it says anything, and where it is usable."""
        self.node_outputs = np.concatenate([self.node_outputs, outputs])
        self.present = np.concatenate([self.present, present])
        self.usable = np.concatenate([self.usable, usable])

    def end(self) -> None:
        """Take a virtual node at an end of a stretch."""
        nowhere = np.zeros(1, bool)
        self.extend(np.zeros((1, self.node_outputs.shape[1]), np.float32), nowhere, nowhere)

    @property
    def unusable(self) -> list[tuple[float, float]]:
        """Unusable stretches that waves may touch, the present one without an end."""
        return [*self.bad, *([(self.bad_since, np.inf)] if self.bad_since >= 0 else [])]


class GroupStream:
    """The labelling of one or several simultaneous leads, as far as it has come.

    Parameters
    ----------
    model : Model
        What was learned.
    fs : float
        Sampling rate in Hz.
    n_leads : int
        Number of leads; where the model has leads of its own, these in their order.
    lag : float or None
        Seconds behind the newest sample that was judged after which a wave is final; None decodes whole stretches at
        their end.
    """

    def __init__(self, model: Model, *, fs: float, n_leads: int, lag: float | None) -> None:
        task = model.task
        self._model = model
        self._unusable_label = len(task.labels)
        self._fs = fs
        assert not model.leads or n_leads == len(model.leads)
        is_late = n_leads > 1 and not model.leads
        self._reach = round(task.farthest_edge * task.front_end.rate) if is_late else 0
        self._voices: _Early | _Late = _Early(model) if model.leads else _Late(model, n_leads, self._reach)
        self._nodes = NodeStream(fs=fs, n_leads=n_leads, task=task)
        self._leads = [_Lead(stream, model.emission.n_outputs) for stream in self._nodes.leads]
        self._decoder: _Decoder = (
            WholeStretchDecoder(model)
            if lag is None
            else SpanDecoder(grammar=task.grammar, weights=model.weights, lag=max(0.0, lag - _slack(task))).open()
        )
        self._hearing = self._nodes.hearing
        self._ratio = self._nodes.ratio
        self._position = 0  # input samples taken
        self._judged = 0  # input samples that were found usable or not, and nodes before them decoded
        self._waiting = np.empty((3, 0), np.int64)  # clusters and their nodes that wait for features or quality
        self._times = np.empty(0)  # nodes handed to the decoder that spans still to come may start at
        self._first_node = 0
        self._era = 0  # sample at the internal rate at which the present era started
        self._opened = np.inf  # input sample at which the open stretch started

    def push(self, signals: NDArray[np.float32], *, last: bool = False) -> list[Row]:
        """Take the next samples, the last ones if `last`; return what is certain now."""
        self._position += len(signals)
        for lead, samples in zip(self._leads, signals.T, strict=True):
            lead.raw = np.concatenate([lead.raw, samples])
        nodes = self._nodes.propose(signals, last=last)
        self._waiting = np.concatenate([self._waiting, nodes.clusters], axis=1)
        self._voices.hear(self._nodes, nodes)
        rows = self._advance(nodes.settled, last=last)
        if last and self._opened < np.inf:
            rows += self._close(self._position)
        return rows

    def _advance(self, settled: int, *, last: bool) -> list[Row]:
        """Decode the nodes of which everything is known, stretch by stretch."""
        judged = min(lead.stream.codes_start + len(lead.stream.codes) for lead in self._leads)
        known = min(settled, *(lead.stream.described for lead in self._leads))
        eras = [start for _, start in self._hearing.eras]
        if len(self._leads) > 1:  # a node needs the candidates within reach, but none of another era
            known = max([known - self._reach - 1, *(start for start in eras if start <= known)])
        limit = judged if last else min(judged, int(known * self._ratio))
        if limit <= self._judged:
            return []
        usable = np.stack([lead.stream.codes[: limit - self._judged] == 0 for lead in self._leads])
        rows: list[Row] = []
        for k, lead in enumerate(self._leads):
            rows += self._unusable(k, lead, usable[k], ended=last and limit == self._position)
        any_usable = np.logical_or.reduce(usable)
        cuts = np.flatnonzero(any_usable[1:] != any_usable[:-1]) + 1
        ends = self._ends_of_eras(limit)
        for start, stop in pairwise(sorted({self._judged, *(self._judged + cuts), *ends, limit})):
            if start in ends and self._opened < ends[start]:
                rows += self._close(start)
            if any_usable[start - self._judged]:
                begin = max([self._era, *(era for era in eras if int(era * self._ratio) <= start)])
                end = min([np.inf, *(era for era in eras if int(era * self._ratio) > start)])
                rows += self._decode(start, stop, usable, (begin, end))
            elif self._opened < np.inf:
                rows += self._close(start)
        if limit in ends and self._opened < ends[limit]:
            rows += self._close(limit)
        self._era = max([self._era, *(era for era in eras if int(era * self._ratio) <= limit)])
        for lead in self._leads:
            lead.stream.drop_codes(limit)
        self._judged = limit
        if self._opened == np.inf:
            self._drop_samples(limit)
        done = int(np.searchsorted(self._waiting[1] * self._ratio, limit))
        self._waiting = self._waiting[:, done:]
        self._voices.forget(int(limit / self._ratio) - 1)
        return rows

    def _ends_of_eras(self, limit: int) -> dict[int, int]:
        """Return where new eras start up to an input sample, and for each where the one before it ended."""
        eras = [(int(start * self._ratio), int(ended * self._ratio)) for ended, start in self._hearing.eras]
        self._hearing.eras = [era for era, (start, _) in zip(self._hearing.eras, eras, strict=True) if start > limit]
        return {start: ended for start, ended in eras if start <= limit}

    def _unusable(self, k: int, lead: _Lead, usable: NDArray[np.bool_], *, ended: bool) -> list[Row]:
        """Follow the unusable stretches of one lead; return those that have ended."""
        rows: list[Row] = []
        cuts = np.flatnonzero(usable[1:] != usable[:-1]) + 1
        for start, _ in pairwise([0, *cuts, len(usable)]):
            sample = self._judged + int(start)
            if not usable[start] and lead.bad_since < 0:
                lead.bad_since = sample
            elif usable[start] and lead.bad_since >= 0:
                lead.bad.append((lead.bad_since, sample))
                rows.append((lead.bad_since, -1, sample, self._unusable_label, k, np.nan))
                lead.bad_since = -1
        if ended and lead.bad_since >= 0:
            lead.bad.append((lead.bad_since, self._position))
            rows.append((lead.bad_since, -1, self._position, self._unusable_label, k, np.nan))
            lead.bad_since = -1
        return rows

    def _decode(self, start: int, stop: int, usable: NDArray[np.bool_], era: tuple[float, float]) -> list[Row]:
        """Hand the nodes between two input samples, in which a lead is usable, to the decoder."""
        first, last = np.searchsorted(self._waiting[1] * self._ratio, [start, stop])
        nodes = self._waiting[:, first:last]
        times = np.asarray(nodes[1] * self._ratio / self._fs, dtype=np.float64)
        rows: list[Row] = []
        if self._opened == np.inf:
            self._opened = start
            begin = start / self._fs
            nodes, times = nodes[:, times > begin], times[times > begin]
            for lead in self._leads:
                lead.end()
            rows = self._append(np.array([begin]))
        samples = np.minimum((nodes[1] * self._ratio).astype(np.int64), stop - 1) - self._judged
        at_nodes = usable[:, samples]
        said = list(self._voices.say(nodes, at_nodes, era))
        if len(said) > 1:
            self._place_silent(said)
        for lead, (outputs, present), is_usable in zip(self._leads, said, at_nodes, strict=True):
            lead.extend(outputs, present, is_usable)
        return rows + self._append(times)

    def _place_silent(self, said: list[_Said]) -> None:
        """Give leads that have no say the mean shifts of those that have one: waves lie there all the same."""
        n_shifts = 2 * self._model.task.grammar.n_states
        count = np.sum([present for _, present in said], axis=0)
        mean = np.sum([outputs[:, -n_shifts:] for outputs, _ in said], axis=0) / np.maximum(count, 1)[:, None]
        for outputs, present in said:
            outputs[~present, -n_shifts:] = mean[~present]

    def _append(self, times: NDArray[np.float64]) -> list[Row]:
        """Hand the newest nodes to the decoder.

        Several leads decide by the mean of their potentials (a logarithmic opinion pool): they see the same heart, so
        their sum would count the same evidence several times. What few of them show weighs more there than it should,
        which `Model.joint` sets right.
        """
        n_new, n_states = len(times), self._model.task.grammar.n_states
        if not n_new:
            return []
        total = np.zeros((n_new, 4 * n_states), np.float32)
        count = np.zeros(n_new, np.float32)
        for lead in self._leads:
            total += lead.node_outputs[-n_new:, : 4 * n_states]
            count += lead.present[-n_new:]
        if len(self._leads) > 1:
            total /= np.maximum(count, 1)[:, None]
            total[:, n_states : 2 * n_states] += self._model.joint * np.log2(np.maximum(count, 2) / 2)[:, None]
        self._times = np.concatenate([self._times, times])
        parts = (total[:, k * n_states : (k + 1) * n_states] for k in range(4))
        return self._report(self._decoder.push(times, Potentials(*parts)))

    def _close(self, sample: int) -> list[Row]:
        """End the stretch of nodes before an input sample."""
        self._opened = np.inf
        for lead in self._leads:
            lead.end()
        self._times = np.append(self._times, sample / self._fs)
        return self._report(self._decoder.close_stretch(sample / self._fs))

    def _report(self, spans: CommittedSpans) -> list[Row]:
        """Return the waves among committed spans in every lead that has them, and forget their nodes."""
        if not len(spans):
            return []
        from mhealth._kernels._waves import locate_waves

        model, rows = self._model, []
        waves = np.flatnonzero(model.task.label_of_state[spans.state] >= 0)
        starts, stops = spans.start[waves] - self._first_node, spans.stop[waves] - self._first_node
        cut_at_start, cut_at_end = model.task.may_be_cut[:, spans.state[waves]]
        shown = (cut_at_start | ~self._is_end(starts)) & (cut_at_end | ~self._is_end(stops))
        waves, starts, stops = waves[shown], starts[shown], stops[shown]
        states = spans.state[waves]
        labels = model.task.label_of_state[states]
        for k, lead in enumerate(self._leads):
            out, probability = np.empty((len(waves), 3), np.int64), np.empty(len(waves))
            usable = lead.usable if len(self._leads) > 1 else np.ones_like(lead.usable)  # also at cut ends
            lead.last_offset = locate_waves(
                starts, stops, states, spans.occupancy, spans.first_interval[waves],
                lead.node_outputs[:, 4 * model.task.grammar.n_states :], usable, self._times, model.task.shift_unit,
                model.task.farthest_edge, lead.raw, lead.raw_start, self._fs, lead.last_offset, out, probability,
            )  # fmt: skip
            model.task.refined(lead.raw, lead.raw_start, self._fs, states, out)
            for label in np.unique(labels):
                of_label = labels == label
                probability[of_label] = model.calibrated(
                    probability[of_label], int(label), together=len(self._leads) > 1
                )
            clear = out[:, 0] >= 0
            for start, stop in lead.unusable:
                clear &= (out[:, 0] >= stop) | (out[:, 2] <= start)
            rows += [
                (a, b, c, label, k, p)
                for (a, b, c), label, p in zip(
                    out[clear].tolist(), labels[clear].tolist(), probability[clear].tolist(), strict=True
                )
            ]
        self._forget(int(spans.stop[-1]))
        return rows

    def _is_end(self, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether nodes are virtual ends of a stretch: no lead says anything there."""
        return ~np.any([lead.present[nodes] for lead in self._leads], axis=0)

    def _forget(self, node: int) -> None:
        """Drop nodes before `node`, and the samples before them."""
        keep = slice(node - self._first_node, None)
        self._first_node += keep.start
        self._times = self._times[keep]
        for lead in self._leads:
            lead.node_outputs, lead.present = lead.node_outputs[keep], lead.present[keep]
            lead.usable = lead.usable[keep]
        self._drop_samples(int(self._times[0] * self._fs))

    def _drop_samples(self, before: int) -> None:
        """Forget the input samples that waves from sample `before` on cannot reach."""
        oldest = before - int(_KEPT * self._fs)
        for lead in self._leads:
            drop = max(0, oldest - lead.raw_start)
            lead.raw, lead.raw_start = lead.raw[drop:], lead.raw_start + drop
            lead.bad = [stretch for stretch in lead.bad if stretch[1] >= oldest]


def label_groups(model: Model, recording: Recording, groups: Sequence[Sequence[int]], lag: float | None) -> Spans:
    """Label a recording; channels of one group decide together, those of none are left out."""
    rows: list[Row] = []
    for channels in groups:
        stream = GroupStream(model, fs=recording.fs, n_leads=len(channels), lag=lag)
        signals = recording.signals[:, list(channels)]
        for row in stream.push(signals) + stream.push(signals[:0], last=True):
            rows.append((*row[:4], channels[row[4]], row[5]))
    return Spans.from_rows(rows, fs=recording.fs, channels=recording.channels, classes=model.task.classes)
