"""Many files in one run, pipes, and what is done already."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkers.cli import main
from talkers.cli.dub import named_dubs, pairs_of
from talkers.cli.many import apart, named, refuse_no_folder
from talkers.errors import MediaError, UsageError
from talkers.jobs.record import RECORD
from talkers.media import probe

AVATAR = ["--avatar", str(Path(__file__).parents[1] / "data" / "format-3")]


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder of two sounds, a broken one and something else."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k, name in enumerate("ab"):
        noise = 0.1 * np.random.default_rng(k).normal(size=8_000)
        soundfile.write(folder / f"{name}.wav", noise, 16_000)
    (folder / "bad.wav").write_text("nonsense")
    (folder / "readme.txt").write_text("not sound")
    (folder / "._a.wav").write_text("hidden")
    return folder


def test_a_folder_is_spoken_and_what_is_done_is_skipped(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["speak", str(sounds), "-o", str(out), *AVATAR]
    assert main(command) == 7
    told = capsys.readouterr()
    assert sorted(p.name for p in out.iterdir()) == [RECORD, "a.mp4", "b.mp4"]
    assert "bad.wav: this is not a media file" in told.err
    assert "readme.txt is left out" in told.err
    assert "._a" not in told.err + told.out
    written = (out / "a.mp4").stat().st_mtime_ns
    (sounds / "bad.wav").unlink()
    noise = 0.1 * np.random.default_rng(9).normal(size=8_000)
    soundfile.write(sounds / "b.wav", noise, 16_000)  # another sound of the same name
    before = (out / "b.mp4").read_bytes()
    assert main(command) == 0
    assert capsys.readouterr().out.count("already done") == 1
    assert (out / "a.mp4").stat().st_mtime_ns == written
    assert (out / "b.mp4").read_bytes() != before
    (out / "a.mp4").write_bytes(b"cut short")
    assert main([*command, "--seed", "0"]) == 0
    assert probe(out / "a.mp4").video is not None
    assert main([*command, "--size", "96"]) == 0  # another option: made again
    assert "already done" not in capsys.readouterr().out.splitlines()[-1]
    size = probe(out / "a.mp4").video
    assert size is not None
    assert size.width == 96


def test_a_record_that_lies_is_no_harm(sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for content in ("[", "[]", '{"made_of": 3}', json.dumps({"bytes": 1})):
        (out / RECORD).mkdir(parents=True, exist_ok=True)
        (out / RECORD / "a.mp4.json").write_text(content)
        assert main(["speak", str(sounds / "a.wav"), "-o", str(out), *AVATAR]) == 0
        assert (out / "a.mp4").is_file()
        (out / "a.mp4").unlink()


def test_all_files_failed(sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(sounds / "bad.wav"), str(sounds / "gone.wav")]
    assert main(["speak", *files, "-o", str(tmp_path / "out"), *AVATAR]) == 3
    assert "no such file" in capsys.readouterr().err


def test_names_of_videos(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def names(*sources: str) -> list[str]:
        jobs, failed = apart(named("speak", [[Path(s)] for s in sources], {}), folder)
        return [job.name for job in jobs] + [f"not {result.job.name}" for result in failed]

    assert names("x/a.wav", "y/b.mp3") == ["a.mp4", "b.mp4"]
    assert names("x/a.wav", "x/a.mp3") == ["a.wav.mp4", "a.mp3.mp4"]
    with pytest.raises(UsageError, match=r"2 of these files would be written as a\.wav\.mp4"):
        names("x/a.wav", "z/a.wav")
    # one name on disks that know no case
    same = ["not a.wav.mp4", "not A.WAV.mp4"]
    assert names("x/a.wav", "y/b.wav", "z/A.WAV") == ["b.mp4", *same]
    with pytest.raises(UsageError, match="one video to write"):
        refuse_no_folder(2, tmp_path / "o.mp4")
    with pytest.raises(UsageError, match="pipe"):
        named("speak", [[Path("x/a.wav")], [Path("-")]], {})


def test_pipes(
    sounds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    content = (sounds / "a.wav").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["speak", "-", "-o", str(tmp_path / "o.mp4"), *AVATAR]) == 0
    assert probe(tmp_path / "o.mp4").audio is not None
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["speak", "-", "-o", str(tmp_path / "p.mp4"), *AVATAR]) == 3
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(content))
    writer.start()
    assert main(["speak", str(tmp_path / "pipe"), "-o", str(tmp_path / "q.mp4"), *AVATAR]) == 0
    writer.join()
    capfdbinary.readouterr()
    assert main(["speak", str(sounds / "a.wav"), "-o", "-", *AVATAR]) == 0
    printed = capfdbinary.readouterr()
    (tmp_path / "r.mp4").write_bytes(printed.out)
    assert probe(tmp_path / "r.mp4").video is not None
    assert b"Wrote" in printed.err


def test_a_folder_without_sound(tmp_path: Path) -> None:
    from talkers.cli.videos import AUDIO_SUFFIXES, speech_files

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").touch()
    with pytest.raises(MediaError, match="no such file in this folder"):
        speech_files((tmp_path / "in",), AUDIO_SUFFIXES)


def test_reconstructing_many(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [str(sounds / name) for name in ("a.wav", "bad.wav")]
    code = main(["reconstruct", *clips, "-o", str(tmp_path / "out"), *AVATAR])
    assert code == 3
    assert "failed:" in capsys.readouterr().err


def test_raw_sound_and_other_shapes(
    sounds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw = np.random.default_rng(0).integers(-3000, 3000, 12_000, dtype=np.int16).tobytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    out = str(tmp_path / "o.mp4")
    more = ["--pcm", "24000", "--shape", "9:16", "--background", "#203040"]
    assert main(["speak", "-", "-o", out, *more, *AVATAR]) == 0
    assert "0.50 s" in capsys.readouterr().out  # half a second
    video = probe(out).video
    assert video is not None
    assert video.width * 16 == pytest.approx(video.height * 9, rel=0.02)
    for wrong, message in (
        (["--shape", "round"], "'round' is no shape"),
        (["--fps", "fast"], "'fast' is not a frame rate"),
        (["--pcm", "3"], "sampling rate of 3"),
        (["--track", "5"], "track"),
    ):
        command = ["speak", str(sounds / "a.wav"), "-o", str(tmp_path / "x.mp4"), *AVATAR]
        assert main([*command, *wrong]) in (2, 3), wrong
        assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "x.mp4").exists()


def test_films_go_with_speeches_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films, speeches = tmp_path / "films", tmp_path / "speeches"
    for folder, names in ((films, "a.mp4 b.mp4 c.d.mp4"), (speeches, "a.wav a.de.wav c.d.fr.mp3")):
        folder.mkdir()
        for name in names.split():
            (folder / name).touch()

    def made(film: Path, speech: Path) -> dict[str, str]:
        jobs = named_dubs(pairs_of(film, speech), not speech.is_dir(), {})
        return {job.name: " + ".join(Path(i).name for i in job.inputs) for job in jobs}

    assert made(films, speeches) == {
        "a.mp4": "a.mp4 + a.wav",
        "a.de.mp4": "a.mp4 + a.de.wav",
        "c.d.fr.mp4": "c.d.mp4 + c.d.fr.mp3",
    }
    assert "b.mp4 is left out" in capsys.readouterr().err
    one = speeches / "a.wav"
    assert made(films, one) == {f"{n}.mp4": f"{n}.mp4 + a.wav" for n in ("a", "b", "c.d")}
    assert len(made(films / "b.mp4", speeches)) == 3
    for path in films.iterdir():
        path.rename(films / f"x{path.name}")
    with pytest.raises(MediaError, match="no speech has the name"):
        pairs_of(films, speeches)
    command = ["dub", str(films), str(one), "-o", str(tmp_path / "out")]
    assert main(command) == 2
    assert "agreed" in capsys.readouterr().err
    assert main([*command, "--consent", "all agreed", "--amplitude", "9"]) == 2
    assert not (tmp_path / "out").exists()
