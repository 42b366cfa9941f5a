"""Many users of the studio at once: what they are answered, and whether the server's memory stays.

    python benchmarks/studio_load.py [--users 20] [--rounds 5]

Each user opens the page, uploads a second of sound, asks the drawn face to say it, watches the job
to its end, fetches the video and removes the job. Anything but an answer or a clear refusal (a
sentence with what to do) is an error. Memory (PSS of the server) is read after each round. At the
end one client goes away in the middle of an upload, and the server is killed and started again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
import soundfile

ALLOWED_GROWTH = 0.05  # of memory, in the second half of the rounds


def wav() -> bytes:
    file = io.BytesIO()
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write(file, sound, 16_000, format="WAV")
    return file.getvalue()


def start(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "talkers", "serve", "--avatar", "mock", "--port", str(port)]
    command += ["--folder", str(folder / "studio")]
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    found = re.search(r"http://[\d.:]+", server.stdout.readline())
    assert found is not None
    return server, found[0]


def memory(pid: int) -> float:
    """Megabytes that only this process holds, and its part of what is shared."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.M)
    assert found is not None
    return int(found[1]) / 1024


class User:
    """A browser without a screen: it speaks gradio's protocol as the page does."""

    def __init__(self, url: str):
        self.url, self.session = url, requests.Session()
        self.hash = secrets.token_hex(6)
        page = self.session.get(url, timeout=60)
        page.raise_for_status()
        config = json.loads(
            page.text.partition("window.gradio_config = ")[2].partition(";</script>")[0]
        )
        self.components = {c["id"]: c for c in config["components"]}
        speak = next(
            c["id"] for c in config["components"] if c["props"].get("elem_id") == "t-speak"
        )
        self.event = next(
            d for d in config["dependencies"] if [speak, "click"] in map(list, d["targets"])
        )

    def upload(self) -> str:
        files = {"files": (f"{self.hash}.wav", wav())}
        answer = self.session.post(f"{self.url}/gradio_api/upload", files=files, timeout=60)
        answer.raise_for_status()
        return str(answer.json()[0])

    def speak(self, path: str) -> str:
        """Press the button; what the page is told."""
        data = []
        for number in self.event["inputs"]:
            props = self.components[number]["props"]
            value = props.get("value")
            if str(props.get("label", "")).startswith("Speech file"):
                value = {"path": path, "meta": {"_type": "gradio.FileData"}}
            data.append(value)
        body = {"data": data, "fn_index": self.event["id"], "session_hash": self.hash}
        asked = self.session.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=60)
        asked.raise_for_status()
        stream = f"{self.url}/gradio_api/queue/data?session_hash={self.hash}"
        with self.session.get(stream, stream=True, timeout=120) as events:
            for line in events.iter_lines():
                event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                if event.get("msg") == "process_completed":
                    return str(event["output"].get("data", event["output"])[0])
        return "no answer"

    def work(self) -> list[dict[str, object]]:
        answer = self.session.get(f"{self.url}/studio/work", timeout=60)
        answer.raise_for_status()
        return list(answer.json()["jobs"])


def visit(url: str) -> str:
    """A whole visit: what became of it."""
    user = User(url)
    told = user.speak(user.upload())
    if "t-problem" in told:
        return "refused" if "wait already" in told else f"ERROR {told[:200]}"
    for _ in range(600):
        job = user.work()[0]
        if job["state"] in ("done", "failed"):
            break
        time.sleep(0.5)
    video = user.session.get(f"{url}/studio/jobs/{job['id']}/files/video.mp4", timeout=60)
    user.session.delete(f"{url}/studio/jobs/{job['id']}", timeout=60)
    return "video" if video.ok and len(video.content) > 5_000 else f"ERROR {job}"


def tried(url: str) -> str:
    try:
        return visit(url)
    except Exception as error:
        return f"ERROR {type(error).__name__}: {str(error)[:200]}"


def leave_in_the_middle(url: str) -> None:
    """Send half of an upload, and go."""
    user = User(url)
    host, port = url.removeprefix("http://").split(":")
    cookie = "; ".join(f"{k}={v}" for k, v in user.session.cookies.items())
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
    part = '--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall((head + part).encode() + bytes(20_000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, url = start(folder)
        told, sizes = Counter[str](), list[float]()
        for turn in range(given.rounds):
            with ThreadPoolExecutor(given.users) as pool:
                told.update(pool.map(tried, [url] * given.users))
            sizes.append(memory(server.pid))
            threads = len(list(Path(f"/proc/{server.pid}/task").iterdir()))
            files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
            print(f"round {turn + 1}: {sizes[-1]:.0f} MB, {threads} threads, {files} files open")
        growth = sizes[-1] / sizes[len(sizes) // 2] - 1
        first = sizes[-1] / sizes[0] - 1
        print(f"{dict(told)}; memory grew by {100 * growth:.1f} % in the second half,")
        print(f"by {100 * first:.1f} % since the first round")
        leave_in_the_middle(url)
        print("after a client that left:", tried(url))
        server.send_signal(signal.SIGKILL)
        server.wait()
        again, url = start(folder, int(url.rpartition(":")[2]))
        print("after a kill and a new start:", tried(url))
        again.terminate()
        again.wait(60)
        failed = growth > ALLOWED_GROWTH or any(what.startswith("ERROR") for what in told)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
