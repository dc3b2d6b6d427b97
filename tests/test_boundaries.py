"""Who may import whom, read from the source: DESIGN's order of folders, and what must stay out of where."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ORDER = (
    "errors", "messages", "carriers", "project", "media", "analysis", "demo", "cast", "animatic", "dit", "compositing",
    "evaluation", "jobs", "training", "bench", "check_cli", "export_cli", "cli", "__main__",
)  # fmt: skip
"""A part of the engine imports only from itself and from what stands before it."""

HEAVY = {"torch", "torchaudio", "mediapipe", "insightface", "pyannote", "faster_whisper", "pocketsphinx", "diffusers"}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path, at_import_time: bool = False) -> Iterator[str]:
    """Dotted names a file imports; ``at_import_time``: only those outside functions."""
    yield from _imports(ast.parse(path.read_text(encoding="utf-8")), path, at_import_time)


def _imports(node: ast.AST, path: Path, at_import_time: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            package = path.relative_to(ROOT).with_suffix("").parts[: -child.level] if child.level else ()
            base = ".".join([*package, *([child.module] if child.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)
        elif at_import_time and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        else:
            yield from _imports(child, path, at_import_time)


def part_of(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "engine" and len(parts) > 1 else None


def test_only_the_page_imports_gradio():
    for path in [*sources("engine"), ROOT / "launch.py"]:
        assert not [name for name in imports(path) if name.split(".")[0] in ("gradio", "app")], path


def test_the_page_imports_no_model_library():
    for path in sources("app"):
        assert not {name.split(".")[0] for name in imports(path)} & HEAVY, path


def test_actions_and_presenters_know_no_gradio():
    for path in [*sources("app/actions"), *sources("app/presenters"), ROOT / "app/session.py", ROOT / "app/work.py"]:
        assert "gradio" not in {name.split(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize("path", sources("engine"), ids=lambda path: str(path.relative_to(ROOT)))
def test_engine_imports_only_upwards(path):
    own = path.relative_to(ROOT / "engine").with_suffix("").parts[0]
    if own in ("__init__", "launcher"):
        return
    assert own in ORDER, f"{own} has no place in the order of folders yet"
    wanted = {part for name in imports(path) if (part := part_of(name))} & set(ORDER)
    below = {part for part in wanted if ORDER.index(part) > ORDER.index(own)}
    assert not below, f"{path.relative_to(ROOT)} imports from below it: {sorted(below)}"


def test_the_launcher_needs_nothing_but_python():
    for path in [ROOT / "launch.py", *sources("engine/launcher"), ROOT / "engine/__init__.py"]:
        foreign = {
            name
            for name in imports(path)
            if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("engine.launcher")
        }
        assert foreign <= {"engine"}, f"{path}: {sorted(foreign)}"


def test_heavy_libraries_are_imported_late():
    """The command line and the page start without them: only where networks are defined may they stand at the top."""
    allowed = {ROOT / "engine" / name for name in ("analysis/backends", "analysis/voices", "dit", "training")}
    for path in sources("engine"):
        if not allowed & set(path.parents):
            found = {name.split(".")[0] for name in imports(path, at_import_time=True)} & HEAVY
            assert not found, f"{path}: {sorted(found)}"


def test_the_page_starts_without_torch():
    code = "import app, app.studio, sys; assert not {'torch', 'mediapipe'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
