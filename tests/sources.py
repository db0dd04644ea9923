"""The source of the product as tests read it."""

import ast


def parsed(source: str) -> ast.Module:
    """Parse it, again if need be: CPython 3.11 counts the depth of all threads together, and complains (gh-106905).

    A thread that prints a traceback meanwhile parses, too.
    """
    try:
        return ast.parse(source)
    except SystemError:
        return parsed(source)
