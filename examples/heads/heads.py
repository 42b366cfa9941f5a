"""Films of heads that nobody has: identities, expressions and poses of MakeHuman's mesh, drawn.

    pip install vtk av
    python heads.py HEADS -o films/ --count 60

HEADS holds `base.obj.gz` and `targets/` (MakeHuman, CC0) and `arkit-targets.zip` (TalkingHead,
MIT). Each film is one person. Prepare each as a speaker of its own, see docs/guide/portraits.md.

    python heads.py HEADS -o films/ --shapes shapes.csv

All of them do what a table says, looking ahead: a column for each blendshape, a row for each frame.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

SIZE, RATE = 320, 25
LOWEST = 3.5  # of what is drawn, in the mesh's unit
EYES = "helper-l-eye", "helper-r-eye"
TEETH = "helper-upper-teeth", "helper-lower-teeth"
MOVES = {  # shapes that are drawn together, and how far they go
    "jawOpen": 0.8, "mouthFunnel": 0.7, "mouthPucker": 0.8, "mouthClose": 0.3, "mouthSmile*": 0.9,
    "mouthFrown*": 0.6, "mouthStretch*": 0.7, "mouthUpperUp*": 0.7, "mouthLowerDown*": 0.8,
    "mouthRollLower": 0.6, "mouthRollUpper": 0.6, "mouthPress*": 0.6, "browInnerUp": 1.0,
    "browDown*": 0.9, "browOuterUp*": 0.9, "eyeSquint*": 0.6, "eyeBlink*": 1.0, "cheekPuff": 0.5,
}  # fmt: skip
SKINS = ((250, 218, 196), (236, 188, 160), (208, 152, 118), (160, 108, 78), (104, 68, 50))
HAIRS = ((30, 24, 22), (70, 46, 30), (120, 84, 50), (190, 150, 90), (150, 150, 150), (110, 44, 24))
IRISES = ((70, 46, 28), (90, 110, 130), (80, 100, 60), (40, 30, 26))


class Mesh:
    """The mesh, its groups and its targets.

    Args:
        folder: see above.
    """

    def __init__(self, folder: Path):
        self.vertices, self.faces = _read_mesh(folder / "base.obj.gz")
        self.shapes: dict[str, NDArray[np.float32]] = {}
        with zipfile.ZipFile(folder / "arkit-targets.zip") as archive:
            for name in archive.namelist():
                if name.startswith("final") and name.endswith(".target"):
                    self.shapes[Path(name).stem] = self._moved(archive.read(name).decode())
        self.people = {
            path.name.split(".")[0]: self._moved(gzip.decompress(path.read_bytes()).decode())
            for part in ("head", "eyes", "nose", "mouth", "chin", "cheek", "forehead", "macro")
            for path in sorted((folder / "targets" / part).glob("*.target.gz"))
            if "trans-" not in path.name and "baby" not in path.name and "child" not in path.name
        }

    def _moved(self, text: str) -> NDArray[np.float32]:
        """Where a target moves vertices: [V, 3]."""
        moved = np.zeros_like(self.vertices)
        for line in text.splitlines():
            if line and not line.startswith(("#", '"')):
                index, *by = line.split()
                if int(index) < len(moved):
                    moved[int(index)] = [float(x) for x in by[:3]]
        return moved


def _read_mesh(path: Path) -> tuple[NDArray[np.float32], dict[str, list[list[int]]]]:
    """Vertices [V, 3] and the faces of each group."""
    vertices: list[list[float]] = []
    faces: dict[str, list[list[int]]] = {}
    group = ""
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            faces.setdefault(group, []).append([int(x.split("/")[0]) - 1 for x in rest])
    return np.array(vertices, np.float32), faces


class Person:
    """One identity: shape, colours and light.

    Args:
        mesh: of everybody.
        random: draws it.
    """

    def __init__(self, mesh: Mesh, random: np.random.Generator):
        self.mesh = mesh
        self.rest = mesh.vertices.copy()
        for moved in mesh.people.values():
            if random.random() < 0.25:
                self.rest += np.float32(random.uniform(0, 0.6)) * moved
        skin, hair = (np.array(random.permutation(table)[0]) for table in (SKINS, HAIRS))
        skin = skin * random.uniform(0.9, 1.08, 3)
        eyes = [self.rest[np.unique(np.concatenate(mesh.faces[name]))].mean(0) for name in EYES]
        self.middle, self.apart = (eyes[0] + eyes[1]) / 2, float(np.linalg.norm(eyes[0] - eyes[1]))
        self.renderer = vtk.vtkRenderer()
        for _ in range(3):
            light = vtk.vtkLight()
            light.SetLightTypeToSceneLight()
            light.SetPosition(*random.uniform((-30, -5, 15), (30, 30, 40)))
            light.SetFocalPoint(*self.middle)
            light.SetColor(*random.uniform(0.75, 1, 3))
            light.SetIntensity(random.uniform(0.2, 0.55))
            self.renderer.AddLight(light)
        self.renderer.GradientBackgroundOn()
        self.renderer.SetBackground(*random.uniform(0.1, 0.9, 3))
        self.renderer.SetBackground2(*random.uniform(0.1, 0.9, 3))
        at = self.rest
        waves = random.normal(0, 2.5, (6, 3))
        spots = np.sin(at @ waves.T + random.uniform(0, 6, 6)).mean(1)
        body = skin * (1 + 0.06 * spots[:, None])
        lips = _strength(mesh, "mouthRollLower", "mouthRollUpper")
        red = skin * np.array([0.92, 0.62, 0.62])
        body += np.clip(lips * 5 - 3, 0, 1)[:, None] * (red - body)
        brows = np.clip(_strength(mesh, "browDownLeft", "browDownRight") * 6 - 5, 0, 1)
        body += 0.8 * brows[:, None] * (hair - body)
        # the skull above and behind; its limit is soft and uneven
        x, y, z = ((at - self.middle) / self.apart).T
        top = np.clip((y - 1.05 - 0.9 * np.clip(z, -1.2, 0) + 0.1 * spots) * 6, 0, 1)
        top *= np.abs(x) < 2
        body += top[:, None] * (hair - body)
        cavity = np.array([96, 46, 46])
        self.parts: list[tuple[NDArray[np.int64], vtk.vtkPolyData]] = []
        self._add("body", body, 0.12)
        enamel = random.uniform((170, 160, 140), (215, 208, 196))
        front = max(at[np.unique(np.concatenate(mesh.faces[name])), 2].max() for name in TEETH)
        # lips and cheeks keep the light off what lies farther back
        light = np.clip(1 - 0.9 * (front - at[:, 2:]) / self.apart, 0.15, 1)
        for name in TEETH:
            self._add(name, light * enamel, 0.25)
        self._add("helper-tongue", np.clip(light + 0.2, 0, 1) * cavity * 1.3, 0.1)
        iris = np.array(random.permutation(IRISES)[0])
        for name in EYES:
            self._add(name, self._eye(name, iris), 0.6)

    def _eye(self, name: str, iris: NDArray[np.int64]) -> NDArray[np.float64]:
        """Colours of an eyeball: a pupil, an iris, and white."""
        own = np.unique(np.concatenate(self.mesh.faces[name]))
        middle = self.rest[own].mean(0)
        away = self.rest - middle
        forward = away[:, 2] / np.maximum(np.linalg.norm(away, axis=1), 1e-6)
        colours = np.tile(np.array([236.0, 232, 228]), (len(self.rest), 1))
        colours[forward > 0.8] = iris
        colours[forward > 0.96] = 12
        return colours

    def _add(self, group: str, colours: NDArray[np.float64], shine: float) -> None:
        """Draw a group of faces in colours [V, 3]."""
        faces = [f for f in self.mesh.faces[group] if self.mesh.vertices[f, 1].min() > LOWEST]
        used, index = np.unique(np.concatenate(faces), return_inverse=True)
        sizes = [len(f) for f in faces]
        cells, begin = [], 0
        for size in sizes:
            cells += [size, *index[begin : begin + size]]
            begin += size
        data, points, polygons = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
        points.SetData(numpy_to_vtk(self.rest[used].copy(), deep=True))
        polygons.ImportLegacyFormat(numpy_to_vtkIdTypeArray(np.array(cells, np.int64), deep=True))
        data.SetPoints(points)
        data.SetPolys(polygons)
        shown = numpy_to_vtk(np.clip(colours[used], 0, 255).astype(np.uint8), deep=True)
        data.GetPointData().SetScalars(shown)
        fine = (
            vtk.vtkLoopSubdivisionFilter() if "eye" in group else vtk.vtkLinearSubdivisionFilter()
        )
        triangles, normals, mapper = (
            vtk.vtkTriangleFilter(),
            vtk.vtkPolyDataNormals(),
            vtk.vtkPolyDataMapper(),
        )
        triangles.SetInputData(data)
        fine.SetInputConnection(triangles.GetOutputPort())
        fine.SetNumberOfSubdivisions(2 if "eye" in group else 1)
        normals.SetInputConnection(fine.GetOutputPort())
        normals.SplittingOff()
        mapper.SetInputConnection(normals.GetOutputPort())
        actor = vtk.vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetInterpolationToPhong()
        actor.GetProperty().SetAmbient(0.3)
        actor.GetProperty().SetDiffuse(0.75)
        actor.GetProperty().SetSpecular(shine)
        actor.GetProperty().SetSpecularPower(25)
        self.renderer.AddActor(actor)
        self.parts.append((used, data))

    def show(self, shapes: dict[str, float]) -> None:
        """Make a face."""
        at = self.rest.copy()
        for name, weight in shapes.items():
            at += np.float32(weight) * self.mesh.shapes[name]
        for used, data in self.parts:
            data.GetPoints().SetData(numpy_to_vtk(at[used].copy(), deep=True))
            data.GetPoints().Modified()


def _strength(mesh: Mesh, *names: str) -> NDArray[np.float64]:
    """How far shapes move vertices, 0 to 1: [V]."""
    far = sum(np.linalg.norm(mesh.shapes[name], axis=1) for name in names)
    return np.asarray(far / far.max())


def drawn_shapes(mesh: Mesh, random: np.random.Generator, count: int) -> list[dict[str, float]]:
    """Expressions of a film, which flow into one another."""
    every = 5  # frames from one to the next
    keys = []
    for _ in range(count // every + 2):
        key: dict[str, float] = {}
        for name, most in MOVES.items():
            often = 0.6 if name == "jawOpen" else 0.22
            weight = most * random.beta(1.2, 1.6) if random.random() < often else 0.0
            names = (
                [f"{name[:-1]}{side}" for side in ("Left", "Right")] if name[-1] == "*" else [name]
            )
            key |= {n: weight * random.uniform(0.8, 1) for n in names if n in mesh.shapes}
        look = random.normal(0, 0.35, 2)
        pairs = (("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookInLeft", "eyeLookOutRight"))
        key |= {n: abs(look[0]) for n in pairs[int(look[0] < 0)] if n in mesh.shapes}
        lids = (
            ("eyeLookUpLeft", "eyeLookUpRight")
            if look[1] > 0
            else ("eyeLookDownLeft", "eyeLookDownRight")
        )
        key |= {n: abs(look[1]) for n in lids if n in mesh.shapes}
        keys.append(key)
    found = []
    for k in range(count):
        a, b, t = keys[k // every], keys[k // every + 1], (k % every) / every
        t = t * t * (3 - 2 * t)
        found.append({n: (1 - t) * a.get(n, 0) + t * b.get(n, 0) for n in {*a, *b}})
    return found


def read_shapes(mesh: Mesh, path: Path) -> list[dict[str, float]]:
    """Expressions of a table."""
    with path.open(newline="") as table:
        rows = list(csv.DictReader(table))
    return [{n: float(value) for n, value in row.items() if n in mesh.shapes} for row in rows]


def film(
    mesh: Mesh, seed: int, path: Path, count: int, given: list[dict[str, float]] | None = None
) -> None:
    """Draw a person's film, with silent sound: with given expressions, or by chance."""
    random = np.random.default_rng(seed)
    person = Person(mesh, random)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(2 * SIZE, 2 * SIZE)
    window.AddRenderer(person.renderer)
    camera = person.renderer.GetActiveCamera()
    camera.SetViewAngle(random.uniform(16, 26))
    shapes = drawn_shapes(mesh, random, count) if given is None else given
    turns = random.uniform((-28, -12, -7), (28, 12, 7), (count // 20 + 2, 3))
    turns[0] *= 0.2
    if given is not None:
        turns[:] = 0
    middle = person.middle + person.apart * np.array([0, -0.5, -0.6])
    tall = person.apart * random.uniform(5.5, 7)
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", RATE, options={"crf": "12", "preset": "veryfast"})
        picture.width = picture.height = SIZE
        picture.pix_fmt = "yuv420p"
        sound = out.add_stream("aac", 16_000, layout="mono")
        for k in range(count):
            person.show(shapes[k])
            t = (1 - np.cos(np.pi * (k % 20) / 20)) / 2
            yaw, pitch, roll = np.radians((1 - t) * turns[k // 20] + t * turns[k // 20 + 1])
            far = tall / np.tan(np.radians(camera.GetViewAngle() / 2)) / 2
            way = np.array(
                [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)]
            )
            camera.SetPosition(*(middle + far * way))
            camera.SetFocalPoint(*middle)
            camera.SetViewUp(np.sin(roll), np.cos(roll), 0)
            person.renderer.ResetCameraClippingRange()
            window.Render()
            grabbed = vtk.vtkWindowToImageFilter()
            grabbed.SetInput(window)
            grabbed.Update()
            pixels = vtk_to_numpy(grabbed.GetOutput().GetPointData().GetScalars())
            large = pixels.reshape(2 * SIZE, 2 * SIZE, 3)[::-1].astype(np.float32)
            small = large.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3)).round().astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(small)
            frame.pts, frame.time_base = k, Fraction(1, RATE)
            out.mux(picture.encode(frame))
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 16_000 * count // RATE), np.float32), "fltp", "mono"
        )
        silence.sample_rate, silence.pts = 16_000, 0
        out.mux(sound.encode(silence))
        out.mux(picture.encode(None))
        out.mux(sound.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("heads", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60, help="people")
    parser.add_argument("--frames", type=int, default=100, help="of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shapes", type=Path, help="table of what all of them do")
    options = parser.parse_args()
    mesh = Mesh(options.heads)
    given = None if options.shapes is None else read_shapes(mesh, options.shapes)
    frames = options.frames if given is None else len(given)
    options.output.mkdir(parents=True, exist_ok=True)
    for k in range(options.count):
        film(mesh, options.seed + k, options.output / f"head{k:03d}.mp4", frames, given)
        print(f"head{k:03d}.mp4", flush=True)


if __name__ == "__main__":
    main()
