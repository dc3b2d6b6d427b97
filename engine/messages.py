"""Every message that a creator can meet, read from the source: ``python launch.py messages`` prints them all.

A message is made where one of the kinds of ``engine.errors`` is made; what happened is its first argument, what to do
its second. Placeholders stand as they do in the source: ``{name}``.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine import errors

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("engine", "app")
KINDS = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.StudioError)}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Message:
    """One place in the source. ``path`` is relative, with forward slashes; ``line``..``last_line`` are those of the
    call; ``happened`` and ``remedy`` "" = the source gives none."""

    path: str
    line: int
    last_line: int
    kind: str
    function: str
    happened: str
    remedy: str


def all_messages(root: Path = ROOT) -> list[Message]:
    """In order of file and line."""
    paths = sorted(path for place in PLACES for path in (root / place).rglob("*.py"))
    words = {name: text for path in paths for name, text in _constants(path).items()}
    return [message for path in paths for message in _of_file(path, root, words)]


def _of_file(path: Path, root: Path, words: Mapping[str, str]) -> Iterator[Message]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {**words, **_constants(path)}
    for node, inside in _calls(tree, None):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        reading = _Reading(own, inside)
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        happened, remedy = (reading.text(given[index]) if len(given) > index else "" for index in (0, 1))
        where = path.relative_to(root).as_posix()
        function = inside.name if inside else ""
        yield Message(where, node.lineno, node.end_lineno or node.lineno, name, function, happened, remedy)


def _calls(node: ast.AST, inside: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
    """Every call that makes an error, with the function it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and _makes_error(child):
            yield child, inside
        yield from _calls(child, child if isinstance(child, Function) else inside)


def _makes_error(call: ast.Call) -> bool:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    return name in KINDS


@dataclass(frozen=True)
class _Reading:
    """Turns an argument into the words it stands for. ``words``: texts by name; ``inside``: the function around it."""

    words: Mapping[str, str]
    inside: Function | None

    def text(self, node: ast.AST, depth: int = 0) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self.text(part, depth) for part in node.values)
        if isinstance(node, ast.FormattedValue):
            return "{" + ast.unparse(node.value) + "}"
        if isinstance(node, ast.Attribute) and node.attr in self.words:
            return self.words[node.attr]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            return self.text(node.func.value, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.text(node.left, depth) + self.text(node.right, depth)
        if isinstance(node, ast.IfExp):
            return f"{self.text(node.body, depth)} / {self.text(node.orelse, depth)}"
        if isinstance(node, ast.Name) and depth < 3:
            return self._named(node.id, depth)
        return "{" + ast.unparse(node) + "}"

    def _named(self, name: str, depth: int) -> str:
        for node in ast.walk(self.inside) if self.inside else ():
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return self.text(node.value, depth + 1)
        return self.words.get(name, "{" + name + "}")


def _constants(path: Path) -> dict[str, str]:
    """Texts that stand at the top of a file, by name."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                continue
            if isinstance(value, str):
                found[node.targets[0].id] = value
    return found


def listed(messages: list[Message]) -> Iterator[str]:
    """The list for people, grouped by the file it comes from."""
    path = ""
    for message in messages:
        if message.path != path:
            path = message.path
            yield f"\n{path}"
        yield f"  {message.line}: {message.happened}"
        yield f"      → {message.remedy}"
    yield f"\n{len(messages)} messages"
