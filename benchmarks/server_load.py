"""Does a server of live faces keep nothing of its viewers?

    python benchmarks/server_load.py [--sessions 200] [--avatar mock] [-o load.json]

Starts `talkers live` on this machine's loopback and lets viewers come one after another, each over
WebRTC: it sees a few pictures, sends sound, and goes. Every fifth vanishes in the middle of a
sentence, every seventh sends garbage, and one sends 10 MB of text. Told are the server's memory,
open files, threads and temporary files after 50 viewers and after the last, its processor seconds
a viewer, and what every kind of viewer was answered. At last the server is killed with a viewer,
begun again at the same port, and ended with Ctrl-C.

It fails where memory grew by more than 5 %, or a file, thread or process is left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed

from talkers.hardware import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from rtc_client import Viewer, viewing, voice

WARM = 50  # viewers after which the first look is taken
GROWTH = 1.05
THREADS = 2 + min(32, (os.cpu_count() or 1) + 4)  # the main one, that of jobs, and asyncio's own
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    """`talkers live` in a process of its own.

    Args:
        avatar: what it shows.
        folder: of its temporary files.
        port: 0: any that is free.
    """

    def __init__(self, avatar: str, folder: Path, port: int = 0):
        command = [sys.executable, "-m", "talkers", "live", "--sessions", "1"]
        command += ["--avatar", avatar, "--port", str(port)]
        env = os.environ | {"TMPDIR": str(folder)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[1]
        self.port = int(self.url.rpartition(":")[2])
        self.folder = folder

    def look(self) -> dict[str, float]:
        """What it holds."""
        place = Path("/proc") / str(self.process.pid)
        status = dict(
            line.split(":", 1) for line in (place / "status").read_text().splitlines() if line
        )
        spent = (place / "stat").read_text().rpartition(")")[2].split()
        return {
            "MB": round(int(status["VmRSS"].split()[0]) / 1024, 1),
            "files": len(list((place / "fd").iterdir())),
            "threads": int(status["Threads"]),
            "temporary files": sum(len(files) for _, _, files in os.walk(self.folder)),
            "processor seconds": (int(spent[11]) + int(spent[12])) / TICK,
        }


async def visit(url: str, number: int, sound: bytes) -> str:
    """One viewer's visit; how it ended."""
    if number % 7 == 6:
        return await misbehave(url, "" if number % 2 else "[" * 10_000)
    async with viewing(url) as viewer:
        if viewer.hello["type"] != "hello":
            return str(viewer.hello["what"])
        await viewer.until(lambda v: len(v.pictures) > 2 and v.sounds)
        await viewer.socket.send(sound)
        if number == 22:
            with suppress(ConnectionClosed):
                await viewer.send(type="say", text="a" * 10_000_000)
            await viewer.socket.wait_closed()
            return f"10 MB of text: closed with {viewer.socket.close_code}"
        await viewer.until(speaks)
        if number % 5 == 4:
            viewer.socket.transport.abort()
            return "vanished"
        await viewer.send(type="interrupt")
        await viewer.until(lambda v: v.told("interrupted"))
    return "served"


async def misbehave(url: str, message: str) -> str:
    """Send what is no message."""
    from websockets.asyncio.client import connect

    async with connect(url.replace("http", "ws") + "/rtc") as socket:
        with suppress(ConnectionClosed):
            await socket.send(message)
        told = json.loads(await socket.recv())
        await socket.wait_closed()
        return f"garbage: closed with {socket.close_code}, {told['what']}"


def speaks(viewer: Viewer) -> bool:
    """Whether it has begun to speak."""
    return any(event["state"] == "speaking" for event in viewer.told("state"))


async def visits(server: Server, first: int, count: int, answers: Counter[str]) -> None:
    """So many viewers, one after another."""
    sound = voice(1.0).astype("<i2").tobytes()
    for number in range(first, first + count):
        for attempt in range(100):  # the last one's place is free a moment later
            found = await visit(server.url, number, sound)
            if "no place" not in found:
                break
            await asyncio.sleep(0.05 * (attempt + 1))
        answers[found] += 1


async def stay(server: Server, seconds: float = 10.0) -> float:
    """Processor seconds that the server takes for a second with one viewer."""
    async with viewing(server.url) as viewer:
        await viewer.until(lambda v: len(v.pictures) > 2)
        before, begun = server.look(), time.monotonic()
        await asyncio.sleep(seconds)
        after, spent = server.look(), time.monotonic() - begun
    return round((after["processor seconds"] - before["processor seconds"]) / spent, 3)


async def killed(server: Server, folder: Path, avatar: str) -> Server:
    """Kill a server that has a viewer, and begin it again."""
    async with viewing(server.url) as viewer:
        await viewer.until(lambda v: v.pictures)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        await viewer.socket.wait_closed()
    again = Server(avatar, folder, server.port)
    async with viewing(again.url) as viewer:
        await viewer.until(lambda v: v.pictures)
        again.process.send_signal(signal.SIGINT)
        await asyncio.to_thread(again.process.wait, 30)
    return again


async def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything; what was found."""
    begun, answers = time.monotonic(), Counter[str]()
    server = Server(options.avatar, folder)
    try:
        await visits(server, 0, WARM, answers)
        await asyncio.sleep(1)
        early = server.look()
        await visits(server, WARM, options.sessions - WARM, answers)
        await asyncio.sleep(1)
        late = server.look()
        steady = await stay(server)
        spent = late["processor seconds"] - early["processor seconds"]
        again = await killed(server, folder, options.avatar)
    finally:
        server.process.kill()
    return {
        "machine": machine(),
        "avatar": options.avatar,
        f"after {WARM} viewers": early,
        f"after {options.sessions} viewers": late,
        "processor seconds a viewer": round(spent / (options.sessions - WARM), 3),
        "processor seconds a second with a viewer": steady,
        "answers": dict(answers),
        "killed, begun again and ended with": again.process.returncode,
        "files left": sorted(str(p.name) for p in folder.iterdir()),
        "seconds": round(time.monotonic() - begun, 1),
    }


def faults(report: dict[str, Any], sessions: int) -> list[str]:
    """What is not as it should be."""
    early, late = report[f"after {WARM} viewers"], report[f"after {sessions} viewers"]
    found = [
        f"{name} grew from {early[name]} to {late[name]}"
        for name in ("files", "temporary files")
        if late[name] > early[name]
    ]
    if late["threads"] > THREADS:
        found.append(f"{late['threads']} threads are left")
    if len(report["files left"]) > 1:  # who was killed could not tidy up
        found.append("files are left")
    if late["MB"] > GROWTH * early["MB"]:
        found.append(f"memory grew from {early['MB']} to {late['MB']} MB")
    if report["killed, begun again and ended with"]:
        found.append("it did not end well")
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--avatar", default="mock")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    np.seterr(all="ignore")
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(run(options, Path(folder)))
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", "utf-8")
    if found := faults(report, options.sessions):
        sys.exit("; ".join(found))


if __name__ == "__main__":
    main()
