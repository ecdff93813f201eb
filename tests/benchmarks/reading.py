"""Files that are read, and answers that are written: what is not cached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from measuring import LAYERS, Missing, fixture, interleaved, write_layers
from rows import Row, compared, scaled

TIMES = 200


def cold_bundle(work: Path) -> Iterator[Row]:
    """A fetch that reads four files of 50 keys, against PyYAML's C loader on the four texts alone."""
    load = c_loader()
    folder = fixture(work / "cfg")
    texts = [(folder / f"{layer}.yml").read_text() for layer in LAYERS]

    def parse() -> None:
        for text in texts:
            load(text)

    pairs = interleaved(lambda: 1 / cold_fetch(folder), lambda: 1 / seconds(parse))
    yield compared("cold fetch of 4 files of 50 keys, a second", "PyYAML's C loader alone", pairs, "≥ 0.5")


def c_loader() -> Callable[[str | bytes], object]:
    """PyYAML's C loader; raises Missing."""
    import yaml

    if not hasattr(yaml, "CSafeLoader"):
        raise Missing("PyYAML was built without its C loader")
    return partial(yaml.load, Loader=yaml.CSafeLoader)


def cold_fetch(folder: Path) -> float:
    """Seconds of one ConfigServer.fetch of files that are new each time."""
    from pyconfserve import ConfigServer, FilesystemConfigBackend

    server = ConfigServer(FilesystemConfigBackend(folder))

    async def measure() -> float:
        await server.fetch("orders", "prod")
        took = 0.0
        for _ in range(TIMES):
            write_layers(folder)
            began = time.perf_counter()
            await server.fetch("orders", "prod")
            took += time.perf_counter() - began
        return took / TIMES

    return asyncio.run(measure())


def rendering(work: Path) -> Iterator[Row]:
    """An answer as one file of 2,000 keys, against PyYAML's C loader on the file it comes from."""
    load = c_loader()
    from pyconfserve.environment import file_rendering, formats
    from pyconfserve.environment.overlay import Environment, PropertySource

    keys = "".join(f"  key-{i}: value {i}\n" for i in range(2000))
    text = f"keys:\n{keys}".encode()
    (document,) = formats.parse(text, "yml")
    source = PropertySource("x", document.entries)
    answer = Environment("x", ("prod",), None, None, None, (source,))
    parse = partial(load, text)
    for name, title in (("yaml, filled", ".yml"), ("raw, filled", ".properties")):
        _, render = file_rendering.FILE_RENDERERS[name]
        pairs = interleaved(
            partial(seconds, partial(render, answer), 20), partial(seconds, parse, 20)
        )
        what = f"rendering {title} of 2,000 keys, ms"
        yield compared(what, "PyYAML's C loader parsing them", scaled(pairs, 1e3), "≤ 1")


def seconds(work: Callable[[], object], times: int = TIMES) -> float:
    """Seconds that *work* takes."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times
