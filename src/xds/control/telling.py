"""Log lines for what is wrong with people's files, or doubtful: one a problem, as many as are useful."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from xds.config.problems import PROBLEMS_SHOWN_MAX, Problem
from xds.logs import event

log = logging.getLogger(__name__)


def tell(what: str, problems: Sequence[Problem], *, level: int = logging.WARNING, node: object = None) -> None:
    """One line for each problem. `node`: where they concern this node and those that get the same."""
    for problem in problems[:PROBLEMS_SHOWN_MAX]:
        event(
            log,
            level,
            what,
            node=node,
            file=problem.file,
            line=problem.line or None,
            column=problem.column or None,
            resource=problem.resource,
            field=problem.field,
            error=problem.message,
        )
    if len(problems) > PROBLEMS_SHOWN_MAX:
        event(log, level, what, node=node, error=f"and {len(problems) - PROBLEMS_SHOWN_MAX} more")
