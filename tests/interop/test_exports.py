"""Exported flows are what they were: compiled, or read by what records them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from interop import flows
from interop.packages import DIRECTORY, NODE_MODULES, elixir, node
from interop.reference import DEADLINE_SECONDS, run_client, type_errors
from pgflow.graph import FlowShape, FlowType, StepShape, to_elixir, to_sql, to_typescript, typescript_problems

PATTERN = {
    "it's": ["\\", '"', "grün 🐘 #{x} ${x}\n\x01\u2028", 1.5, 1e20, -1e-7, 2**53 - 1, None, True, {}, []],
    "__proto__": {"a": "'"},
    "": 0,
}
PLAIN = [
    *(flow.flow_shape for flow in (flows.chain(), flows.elements, flows.echo(), flows.falsy(), flows.everything)),
    *(FlowShape(slug, (StepShape("only"),)) for slug in ("default", "Flow", "Json", "await", "x" * 47)),
    FlowShape("Numbers", (StepShape("a", "map"), StepShape("b", "map", ("a",)), StepShape("c", dependencies=("b",)))),
    FlowShape("words", (StepShape("class"), StepShape("new", dependencies=("class",)), StepShape("end"))),
]
CONDITIONAL = FlowShape(
    "conditional",
    (
        StepShape("first", required_input_pattern=PATTERN, when_exhausted="skip"),
        StepShape("second", dependencies=("first",), forbidden_input_pattern={}, when_unmet="fail", start_delay=0),
        StepShape("third", "map", ("second",), required_input_pattern={"a": 1}, when_unmet="skip-cascade"),
        StepShape("fourth", dependencies=("first", "third"), when_exhausted="skip-cascade", max_attempts=1),
    ),
    max_attempts=2**31 - 1,
)
REFUSED = [
    FlowShape("_a", (StepShape("s"),)),
    FlowShape("a", (StepShape("s"),), base_delay=0),
    FlowShape("a", (StepShape("s"),), timeout=2),
    FlowShape("a", (StepShape("_s"),)),
    FlowShape("a", (StepShape("s", base_delay=0),)),
    FlowShape("a", (StepShape("s", "map", timeout=2),)),
    *(
        FlowShape("a", (StepShape(slug),))
        for slug in (
            "constructor",
            "hasOwnProperty",
            "isPrototypeOf",
            "propertyIsEnumerable",
            "toLocaleString",
            "toString",
            "valueOf",
        )
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that has the DSL."""
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    return tmp_path


@pytest.mark.compatible("typescript", "pgflow export")
def test_exported_flows_are_compiled_by_the_dsl_to_the_same_statements(folder: Path) -> None:
    (folder / "exported.ts").write_text(to_typescript(PLAIN), encoding="utf-8")
    statements = [statement for shape in sorted(PLAIN, key=_exported_name) for statement in to_sql(shape)]
    assert run_client("compile-file", str(folder / "exported.ts")).splitlines() == statements


@pytest.mark.compatible("typescript", "pgflow export")
def test_exported_flows_are_accepted_by_the_compiler_of_typescript(folder: Path) -> None:
    (folder / "exported.ts").write_text(to_typescript(PLAIN), encoding="utf-8")
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "esnext", "--skipLibCheck"]
    assert type_errors(*options, str(folder / "exported.ts")) == ""


@pytest.mark.parametrize("shape", REFUSED, ids=lambda shape: f"{shape.slug}-{shape.steps[0].slug}")
@pytest.mark.compatible("typescript", "pgflow export")
def test_what_is_said_to_be_refused_is_refused_by_the_dsl(folder: Path, shape: FlowShape) -> None:
    assert typescript_problems(shape)
    (folder / "exported.ts").write_text(to_typescript([shape]), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"Slug|must be greater|already exists"):
        run_client("compile-file", str(folder / "exported.ts"))


@pytest.mark.parametrize("shape", [CONDITIONAL, flows.everything.flow_shape], ids=lambda shape: shape.slug)
@pytest.mark.compatible("typescript", "pgflow export")
def test_exported_typescript_says_what_the_flow_is(tmp_path: Path, shape: FlowShape) -> None:
    (tmp_path / "exported.ts").write_text(to_typescript([shape]).replace("'@pgflow/dsl'", "'./recorder.ts'"))
    shutil.copy(DIRECTORY / "recorder.ts", tmp_path)
    program = "import flow from './exported.ts'; console.log(JSON.stringify(flow.declared))"
    command = [node(), "--input-type=module", "--eval", program]
    declared, *steps = json.loads(_output_of(command, tmp_path))
    assert declared == {"slug": shape.slug, "options": _camel_case(shape.options)}
    assert [_step_of_typescript(step) for step in steps] == list(shape.steps)


@pytest.mark.compatible("elixir", "pgflow export")
def test_exported_elixir_says_what_the_flows_are(tmp_path: Path) -> None:
    job = FlowShape("send", (StepShape("send"),), timeout=5, flow_type="job")
    shapes = [*PLAIN, CONDITIONAL, job]
    (tmp_path / "exported.ex").write_text(to_elixir(shapes), encoding="utf-8")
    printed = _output_of([elixir(), DIRECTORY / "recorder.exs", "exported.ex"], tmp_path)
    read = {shape.slug: shape for shape in map(_flow_of_elixir, printed.strip().split("\n"))}
    assert read == {shape.slug: shape for shape in shapes}


def _exported_name(shape: FlowShape) -> str:
    """Return what orders the exports of a module."""
    return f"{shape.slug}_" if shape.slug in ("default", "Flow", "Json", "await") else shape.slug


def _output_of(command: list[Any], directory: Path) -> str:
    ended = subprocess.run(command, cwd=directory, capture_output=True, timeout=DEADLINE_SECONDS)
    assert (ended.returncode, ended.stderr) == (0, b""), ended.stderr.decode()
    return ended.stdout.decode()


def _camel_case(options: dict[str, int]) -> dict[str, int]:
    names = {"max_attempts": "maxAttempts", "base_delay": "baseDelay", "start_delay": "startDelay"}
    return {names.get(name, name): value for name, value in options.items()}


def _step_of_typescript(declared: dict[str, Any]) -> StepShape:
    is_map = declared["method"] == "map"
    return StepShape(
        declared["slug"],
        "map" if is_map else "single",
        tuple([declared["array"]] if "array" in declared else declared.get("dependsOn", [])),
        max_attempts=declared.get("maxAttempts"),
        base_delay=declared.get("baseDelay"),
        timeout=declared.get("timeout"),
        start_delay=declared.get("startDelay"),
        required_input_pattern=declared.get("if"),
        forbidden_input_pattern=declared.get("ifNot"),
        when_unmet=declared.get("whenUnmet"),
        when_exhausted=declared.get("whenExhausted", "fail"),
    )


def _flow_of_elixir(line: str) -> FlowShape:
    options, steps = json.loads(line)
    flow = {name[1:]: value for name, value in options}
    flow_type: FlowType = "job" if "queue" in flow else "flow"
    slug = flow.pop("queue" if flow_type == "job" else "slug")
    read = tuple(_step_of_elixir(macro, name, dict(options)) for macro, name, options in steps)
    return FlowShape(slug[1:], read, flow_type=flow_type, **flow)


def _step_of_elixir(macro: str, slug: str, declared: dict[str, Any]) -> StepShape:
    dependencies = [declared[":array"]] if ":array" in declared else declared.get(":depends_on", [])
    modes = {
        name: declared[name][1:].replace("_", "-") for name in (":when_unmet", ":when_exhausted") if name in declared
    }
    return StepShape(
        slug[1:],
        "map" if macro == ":map" else "single",
        tuple(dependency[1:] for dependency in dependencies),
        max_attempts=declared.get(":max_attempts"),
        base_delay=declared.get(":base_delay"),
        timeout=declared.get(":timeout"),
        start_delay=declared.get(":start_delay"),
        required_input_pattern=declared.get(":if"),
        forbidden_input_pattern=declared.get(":if_not"),
        when_unmet=modes.get(":when_unmet"),
        when_exhausted=modes.get(":when_exhausted", "fail"),
    )
