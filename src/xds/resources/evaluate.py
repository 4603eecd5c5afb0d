"""`python -m xds.resources.evaluate FILE`: runs a resource file in Python and prints what it defines, serialised.

The file defines `resources`, a list of envoy-data-plane objects or a function that returns one, and may define `nodes`,
a selector or a list of them. It may import from its own directory. What it prints goes to stderr: the real stdout
carries the frames that `xds.config.python_files` reads and describes.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple

MESSAGE_CHARS_MAX: Final = 1000


class Wrong(Exception):  # noqa: N818 - it is printed, not handled
    """The file does not define what it should."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Serialised(NamedTuple):
    """One resource."""

    type_url: str
    name: str
    line: int
    body: bytes


def evaluate(path: Path) -> tuple[Any, list[Serialised]]:
    """Run the file: its `nodes`, and its resources. Raises `Wrong`."""
    try:
        source = path.read_bytes()
        tree = ast.parse(source, str(path))
        code: CodeType = compile(tree, str(path), "exec")
    except OSError as error:
        raise Wrong(f"cannot be read: {error.strerror}") from None
    except SyntaxError as error:
        raise Wrong(f"is not Python: {error.msg}", error.lineno or 0, error.offset or 0) from None
    except ValueError as error:  # null bytes
        raise Wrong(f"is not Python: {error}") from None
    space: dict[str, Any] = {"__name__": "__legation__", "__file__": str(path)}
    _guarded(path, lambda: exec(code, space))  # noqa: S102 - running the file is what this process is for
    if "resources" not in space:
        raise Wrong("defines no `resources`: a list of envoy-data-plane objects, or a function that returns one")
    found = space["resources"]
    if callable(found):
        found = _guarded(path, found)
    if not isinstance(found, Iterable) or isinstance(found, str | bytes | dict):
        raise Wrong("`resources` is no list of envoy-data-plane objects", Lines(tree).of_list())
    objects = _guarded(path, lambda: list(found))
    lines = Lines(tree).of_items(len(objects))
    made = _guarded(
        path, lambda: [_serialised(i, o, line) for i, (o, line) in enumerate(zip(objects, lines, strict=True))]
    )
    return space.get("nodes"), made


def _serialised(index: int, thing: Any, line: int) -> Serialised:
    from envoy_data_plane.message_pool import default_message_pool  # noqa: PLC0415 - a third of a second

    type_url = default_message_pool.type_to_url.get(type(thing))
    if type_url is None:
        raise Wrong(f"resources[{index}] is a {type(thing).__name__}, not an object of envoy_data_plane", line)
    name = getattr(thing, "cluster_name" if type_url.endswith(".ClusterLoadAssignment") else "name", "")
    return Serialised(type_url, name if isinstance(name, str) else "", line, bytes(thing))


def _guarded(path: Path, run: Callable[[], Any]) -> Any:
    """Run people's code; what it raises becomes a sentence with the line of the file."""
    try:
        return run()
    except Wrong:
        raise
    except SystemExit as error:
        raise Wrong("ended the process (sys.exit) instead of defining `resources`", _line(path, error)) from None
    except BaseException as error:  # noqa: BLE001 - whatever it is, the operator must read it with its line
        message = "".join(traceback.format_exception_only(error)).strip()[:MESSAGE_CHARS_MAX]
        raise Wrong(message, _line(path, error)) from None


def _line(path: Path, error: BaseException) -> int:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else 0) or 0


class Lines:
    """Where in the text the resources stand: exact for a plain list, else the line that defines `resources`."""

    def __init__(self, tree: ast.Module) -> None:
        self._assigned: dict[str, ast.stmt] = {}
        self._value: ast.expr | None = None
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef):
                self._assigned[statement.name] = statement
            for target in _targets(statement):
                self._assigned[target] = statement
                if target == "resources":
                    self._value = getattr(statement, "value", None)

    def of_list(self) -> int:
        """Line of the statement that defines `resources`."""
        statement = self._assigned.get("resources")
        return statement.lineno if statement else 0

    def of_items(self, count: int) -> list[int]:
        """Line of each of so many resources."""
        value = self._value
        if isinstance(value, ast.List | ast.Tuple) and len(value.elts) == count:
            return [self._of(item) for item in value.elts]
        return [self.of_list()] * count

    def _of(self, item: ast.expr) -> int:
        assigned = self._assigned.get(item.id) if isinstance(item, ast.Name) else None
        return assigned.lineno if assigned else item.lineno


def _targets(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def output(path: Path) -> bytes:
    """Everything that the parent reads."""
    try:
        nodes, found = evaluate(path)
        header = {
            "nodes": nodes,
            "resources": [{"type_url": r.type_url, "name": r.name, "line": r.line} for r in found],
        }
        return b"".join(map(_frame, [_json(header), *(resource.body for resource in found)]))
    except Wrong as error:
        return _frame(_json({"error": {"message": str(error), "line": error.line, "column": error.column}}))


def _json(value: dict[str, Any]) -> bytes:
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError):
        raise Wrong("`nodes` must be made of dicts, lists and text") from None


def _frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


def main(arguments: list[str]) -> int:
    """Evaluate one file and print what it defines."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m xds.resources.evaluate FILE\n")
        return 2
    # People's prints must not mix with the frames: they keep file descriptor 1, which is stderr from here on.
    frames = os.dup(1)
    os.dup2(2, 1)
    path = Path(arguments[0]).resolve()
    sys.path.insert(0, str(path.parent))
    data = output(path)
    with os.fdopen(frames, "wb") as stream:
        stream.write(data)
    sys.stdout.flush()
    # Threads that the file has started must not keep this process.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
