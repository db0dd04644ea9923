"""Functions in processes of their own: a benchmark beside its installation, a writer beside its readers."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import django

GRACE = 120.0
"""Seconds for cleaning up, hosts included, after the time is over."""


class Alone:
    """A function of a module, called in a fresh process with Django set up for the installation in the environment.

    The module is imported there, so it may import models at its top.

    :raises TimeoutError: it took longer than ``seconds``; it was interrupted, and cleaned up after itself.
    :raises RuntimeError: it ended with an error, which it has printed.
    """

    def __init__(self, module: str, function: str, *arguments: Any, ready: Callable[..., None] = django.setup) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = f"{module}.{function}"
        self._answer, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_call, args=(sender, ready, module, function, arguments), name=self.name)
        self._process.start()
        sender.close()

    def result(self, seconds: float) -> Any:
        """Wait for what the function returns."""
        try:
            if not self._answer.poll(seconds):
                raise TimeoutError(f"{self.name} took longer than {seconds:.0f} s")
            return self._answer.recv()
        except EOFError:
            raise RuntimeError(f"{self.name} failed") from None
        finally:
            self.end()

    def end(self) -> None:
        """See it gone; it is interrupted when it still runs."""
        self._process.join(5)
        if self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, signal.SIGINT)
            self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _call(answer: Connection, ready: Callable[..., None], module: str, function: str, arguments: tuple[Any, ...]) -> None:
    ready()
    answer.send(getattr(importlib.import_module(module), function)(*arguments))
