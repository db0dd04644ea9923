"""Functions in processes of their own: a benchmark beside its installation, a writer beside its readers."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import django

GRACE = 120.0
"""Seconds for cleaning up, hosts included, after the time is over."""


class Alone:
    """A function of a module, called in a fresh process with Django set up as ``env`` says.

    The module is imported there, so it may import models at its top. Arguments and result are pickled.
    """

    def __init__(self, env: Mapping[str, str], module: str, function: str, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = f"{module}.{function}"
        self._answer, sender = context.Pipe(duplex=False)
        call = (sender, dict(env), module, function, arguments)
        self._process = context.Process(target=_call, args=call, name=self.name)
        self._answered = False
        self._process.start()
        sender.close()

    def result(self, seconds: float) -> Any:
        """Wait for what the function returns.

        :raises TimeoutError: it took longer than ``seconds``; it was interrupted, and cleaned up after itself.
        :raises RuntimeError: it ended with an error, which it has printed.
        """
        try:
            if not self._answer.poll(seconds):
                raise TimeoutError(f"{self.name} took longer than {seconds:.0f} s.")
            answer = self._answer.recv()
            self._answered = True
            return answer
        except EOFError:
            self._answered = True
            raise RuntimeError(f"{self.name} ended with an error; it is printed above.") from None
        finally:
            self.end()

    def end(self) -> None:
        """See it gone. One that still runs, because its time is over or it is not wanted any more, is interrupted."""
        if not self._answered and self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, signal.SIGINT)
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _call(answer: Connection, env: Mapping[str, str], module: str, function: str, arguments: tuple[Any, ...]) -> None:
    os.environ.update(env)
    django.setup()
    answer.send(getattr(importlib.import_module(module), function)(*arguments))
