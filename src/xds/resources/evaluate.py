"""`python -m xds.resources.evaluate FILE [SECONDS]`: runs a resource file in Python and prints what it defines.

The file defines `resources`, a list of envoy-data-plane objects or a function that returns one, and may define `nodes`,
a selector or a list of them. It may import from its own directory. What it prints goes to stderr: the real stdout
carries the frames that `xds.config.python_files` reads and describes.

There are two processes. The one that was started runs none of people's code. It starts the other, which confines itself
and runs it, and when that has ended, or nobody reads its pipe any more, ends everything that it may have left behind.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple, NoReturn

from xds.resources import confine

MESSAGE_CHARS_MAX: Final = 1000
CPU_S: Final = 20
"""So much processor time the file has, unless the caller says otherwise."""
LOOK_MS: Final = 20
"""How often the first process looks whether the second has ended."""
UNCONFINED: Final = "legation: this kernel has no Landlock, so the file can read whatever this user can\n"


class Wrong(Exception):  # noqa: N818 - it is printed, not handled
    """The file does not define what it should."""

    def __init__(self, message: str, line: int = 0, column: int = 0, kind: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.kind = kind
        """Class of the exception, if it is people's code that raised it."""


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
        raise Wrong(_message(error)[:MESSAGE_CHARS_MAX], _line(path, error), kind=type(error).__name__) from None


def _message(error: BaseException) -> str:
    """What the exception says; what pydantic says, without the values that it quotes."""
    try:
        if type(error).__module__.startswith("pydantic"):
            details = error.errors(include_input=False, include_url=False, include_context=False)  # type: ignore[attr-defined]
            return "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details)
        return str(error)
    except Exception:  # noqa: BLE001 - people's class, people's mistake
        return ""


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
        return _frame(
            _json({"error": {"message": str(error), "line": error.line, "column": error.column, "kind": error.kind}})
        )


def _json(value: dict[str, Any]) -> bytes:
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError):
        raise Wrong("`nodes` must be made of dicts, lists and text") from None


def _frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


def main(arguments: list[str]) -> int:
    """Evaluate one file and print what it defines."""
    file, seconds, *more = [*arguments, str(CPU_S)] if len(arguments) == 1 else [*arguments, "", ""]
    if not seconds.isdecimal() or any(more):
        sys.stderr.write("usage: python -m xds.resources.evaluate FILE [SECONDS]\n")
        return 2
    confine.adopt_orphans()
    here = os.getpid()
    worker = os.fork()
    if worker == 0:
        _work(Path(file), int(seconds), here)
    status = _watched(worker)
    _end_descendants(here)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        # The parent is told by the same signal.
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(here, -code)
    return code


def _work(file: Path, cpu_s: int, parent: int) -> NoReturn:
    """The second process, to its end."""
    try:
        confine.limit(cpu_s, parent)
        # People's prints must not mix with the frames: they keep file descriptor 1, which is stderr from here on.
        frames = os.dup(1)
        os.dup2(2, 1)
        path = file.resolve()
        sys.path.insert(0, str(path.parent))
        with contextlib.suppress(OSError):
            os.chdir(file.parent)
        if not confine.confine([path.parent, file.parent.absolute()]):
            sys.stderr.write(UNCONFINED)
        data = output(path)
        with os.fdopen(frames, "wb") as stream:
            stream.write(data)
        sys.stdout.flush()
        sys.stderr.flush()
        # Neither the threads that the file has started nor what it has put into atexit must keep this process.
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not become a second first one
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def _watched(worker: int) -> int:
    """How the second process ended. It is ended at once if nobody reads what it prints."""
    poll = select.poll()
    poll.register(1, 0)  # tells of an error when the last reader is gone
    while True:
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            return status
        if poll.poll(LOOK_MS):
            os.kill(worker, signal.SIGKILL)
            return os.waitpid(worker, 0)[1]


def _end_descendants(here: int) -> None:
    """End every process below this one; those whose parents end become its own children."""
    while True:
        for child in _children(here):
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                select.poll().poll(1)
        except ChildProcessError:
            return


def _children(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                if int((process / "stat").read_bytes().rpartition(b")")[2].split()[1]) == parent:
                    found.append(int(process.name))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
