"""Random flows, values and reports. The slugs of a flow come in any order, which isn't that of the alphabet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from hypothesis import strategies as st

from model.definition import Flow, Step
from model.model import STALLED_AFTER, Model
from model.records import Completion, Demand, Failure, Release, Run
from model.values import SQL_NULL, Json, Value

SLUGS = "abcdef"

SCALARS: list[Json] = [
    None,
    False,
    True,
    0,
    1,
    -0.5,
    "",
    'é"\\',
    {},
    {"ok": True},
    {"ok": False, "n": [1, {"a": None}]},
]
ARRAYS: list[list[Json]] = [[], [], [None], [0], [False, "", []], [[1], {"ok": True}], [1, 2, 3, 4], [{}, {}]]

values = st.sampled_from([*SCALARS, *ARRAYS])
arrays = st.sampled_from(ARRAYS)
outputs = st.one_of(values, st.just(SQL_NULL))
errors = st.sampled_from(["boom", "no", "", None])

ROOT_PATTERNS: list[Json] = [{}, {"ok": True}, {"n": [1]}, {"missing": None}]
PARENT_PATTERNS: list[Json] = [{}, [], [0], None, True, {"ok": True}]

MODES = ["fail", "skip", "skip-cascade"]


@dataclass(frozen=True)
class Character:
    """What a flow has much of: flows of one character reach what an average flow rarely does."""

    is_map: st.SearchStrategy[bool]
    has_condition: st.SearchStrategy[bool]
    when_unmet: st.SearchStrategy[str]
    when_exhausted: st.SearchStrategy[str]


def _rates(*out_of_four: int) -> st.SearchStrategy[st.SearchStrategy[bool]]:
    return st.sampled_from(out_of_four).map(lambda rate: st.integers(0, 3).map(lambda number: number >= 4 - rate))


some_modes = st.sampled_from([["skip"], ["fail"], ["skip-cascade"], MODES, MODES]).map(st.sampled_from)
characters = st.builds(Character, _rates(1, 2, 3), _rates(0, 1, 3), some_modes, some_modes)


@st.composite
def flows(draw: st.DrawFn, slug: str, max_steps: int = 6) -> Flow:
    """Draw a flow with up to so many steps."""
    character = draw(characters)
    slugs = draw(st.permutations(SLUGS[:max_steps]))[: draw(st.integers(1, max_steps))]
    steps: list[Step] = []
    for step_slug in slugs:
        steps.append(draw(_steps(character, step_slug, [step.slug for step in steps])))
    return Flow(
        slug,
        tuple(steps),
        max_attempts=draw(st.integers(0, 3)),
        base_delay=draw(st.sampled_from([0, 1, 5])),
        timeout=draw(st.sampled_from([1, 60])),
    )


@st.composite
def _steps(draw: st.DrawFn, character: Character, slug: str, earlier: list[str]) -> Step:
    is_map = draw(character.is_map)
    most = min(len(earlier), 1 if is_map else 3)
    count = draw(st.sampled_from([*range(most + 1), *range(1, most + 1)]))
    parents = tuple(draw(st.permutations(earlier))[:count])
    has_condition = draw(character.has_condition)
    return Step(
        slug,
        parents,
        is_map,
        required=draw(_patterns(parents)) if has_condition else None,
        forbidden=draw(_patterns(parents)) if has_condition else None,
        when_unmet=draw(character.when_unmet),
        when_exhausted=draw(character.when_exhausted),
        max_attempts=draw(st.sampled_from([None, None, 0, 2])),
        base_delay=draw(st.sampled_from([None, None, 3])),
        timeout=draw(st.sampled_from([None, None, 10])),
        start_delay=draw(st.sampled_from([None, None, 0, 20])),
    )


def _patterns(parents: tuple[str, ...]) -> st.SearchStrategy[Json]:
    if not parents:
        return st.sampled_from([None, *ROOT_PATTERNS])
    of_parents = st.dictionaries(st.sampled_from(parents), st.sampled_from(PARENT_PATTERNS), max_size=2)
    return st.one_of(st.none(), of_parents)


def inputs(flow: Flow) -> st.SearchStrategy[Value]:
    """Draw an input, nearly always one that the flow accepts."""
    return st.integers(0, 19).flatmap(
        lambda number: outputs if number == 19 else arrays if flow.has_root_map() else values
    )


@st.composite
def addresses(draw: st.DrawFn, model: Model) -> tuple[Run, str, int, int]:
    """Draw a task of a run, nearly always one that has been started, with its attempt, rarely one that isn't there."""
    tasks = [(run, slug, index, task) for run in model.runs.values() for (slug, index), task in run.tasks.items()]
    started = [found for found in tasks if found[3].status == "started"]
    if not tasks or draw(st.integers(0, 39)) == 39:
        run = draw(st.sampled_from(list(model.runs.values())))
        return run, draw(st.sampled_from([*run.states, "nowhere"])), draw(st.sampled_from([0, 9])), 1
    is_late = not started or draw(st.integers(0, 7)) == 7
    run, slug, index, task = draw(st.sampled_from(tasks if is_late else started))
    return run, slug, index, task.attempts_count


@st.composite
def fitting_outputs(draw: st.DrawFn, run: Run, slug: str) -> Value:
    """Draw an output, mostly an array where a map needs one."""
    if not any(child.is_map for child in run.flow.children(slug)):
        return draw(outputs)
    return draw(st.sampled_from([*ARRAYS * 3, *SCALARS, SQL_NULL]))


def pauses(model: Model) -> st.SearchStrategy[int]:
    """Draw seconds to let go by: none, many, or so many that a started task is about to stall or just has."""
    stalling = [
        task.started_at + run.flow.timeout_of(run.flow.step(slug)) + STALLED_AFTER - model.now
        for run in model.runs.values()
        for (slug, _), task in run.tasks.items()
        if task.status == "started" and task.started_at is not None
    ]
    return st.sampled_from([0, 1000, *(max(left + more, 0) for left in stalling for more in (0, 1))])


@st.composite
def completions(draw: st.DrawFn, model: Model, max_size: int = 5) -> list[Completion]:
    """Draw the reports of one batch."""
    return [
        Completion(run.run_id, slug, index, draw(fitting_outputs(run, slug)), attempt)
        for run, slug, index, attempt in draw(_batches(model, max_size))
    ]


@st.composite
def failures(draw: st.DrawFn, model: Model, max_size: int = 5) -> list[Failure]:
    """Draw the reports of one batch."""
    is_final = st.integers(0, 5).map(lambda number: number == 5)
    retry_delays = st.sampled_from([None, None, 0, 90])
    return [
        Failure(run.run_id, slug, index, draw(errors), attempt, draw(is_final), draw(retry_delays))
        for run, slug, index, attempt in draw(_batches(model, max_size))
    ]


@st.composite
def mixed(draw: st.DrawFn, model: Model) -> tuple[list[Completion], list[Failure]]:
    """Draw the reports of one exchange, in which a failure has an error."""
    failed = [replace(failure, error_message=failure.error_message or "boom") for failure in draw(failures(model))]
    return draw(completions(model)), failed[: draw(st.integers(0, 4))]


@st.composite
def releases(draw: st.DrawFn, model: Model, max_size: int = 5) -> list[Release]:
    """Draw tasks that are given back, each once."""
    batch = {(run.run_id, slug, index): attempt for run, slug, index, attempt in draw(_batches(model, max_size))}
    delays = st.sampled_from([None, 0, 0, 90])
    return [Release(*key, draw(delays), attempt) for key, attempt in batch.items()]


def demands(worker_ids: Sequence[UUID]) -> st.SearchStrategy[Demand]:
    """Draw what a worker wants, mostly all there is."""
    flow_slugs = st.sampled_from([("first",), ("first", "second"), ("second", "first"), ("second",), ()])
    return st.builds(
        Demand, flow_slugs, st.sampled_from(worker_ids), st.sampled_from([0, 1, 2, 5, 100, 100]), st.booleans()
    )


@st.composite
def _batches(draw: st.DrawFn, model: Model, max_size: int) -> Sequence[tuple[Run, str, int, int | None]]:
    """Draw tasks, some of them several times, with attempts, some of which are stale, or without."""
    started = [
        (run, slug, index, task.attempts_count)
        for run in model.runs.values()
        for (slug, index), task in run.tasks.items()
        if task.status == "started"
    ]
    if draw(st.booleans()):
        return draw(st.permutations(started))[: 2 * max_size]
    batch: list[tuple[Run, str, int, int | None]] = []
    for run, slug, index, attempt in draw(st.lists(addresses(model), min_size=1, max_size=max_size)):
        stale = max(attempt - 1, 0)
        named: list[list[int | None]] = [[attempt], [attempt], [None], [stale]]
        twice: list[list[int | None]] = [[stale, attempt], [stale, None], [None, attempt], [attempt, attempt]]
        batch.extend((run, slug, index, name) for name in draw(st.sampled_from([*named, *twice])))
    return batch
