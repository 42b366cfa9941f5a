# talkers on the CPU, as an ordinary user: docker build -t talkers . && docker run --rm -v "$PWD":/work talkers demo
# With more: docker build --build-arg EXTRAS=serve,scale -t talkers .
# Nothing but /work, /tmp and the identity needs to be written: docker run --read-only --tmpfs /tmp -v identity:/home/talkers/.local/share/talkers ...
FROM python:3.12-slim AS build
ARG EXTRAS=
WORKDIR /build
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN python -m venv /opt/talkers \
 && /opt/talkers/bin/pip install --no-cache-dir --constraint constraints.txt torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple \
 && /opt/talkers/bin/pip install --no-cache-dir --constraint constraints.txt ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.12-slim
COPY --from=build /opt/talkers /opt/talkers
# An ordinary user, whose home holds what is fetched and the identity that signs videos
RUN useradd --create-home --uid 1000 talkers && mkdir -p /work /home/talkers/.local/share/talkers && chown -R talkers /work /home/talkers/.local
USER talkers
ENV PATH=/opt/talkers/bin:$PATH
# Speaking needs Whisper-base (145 MB): it is part of the image, which then needs no network
RUN python -c "from talkers.artefacts.pretrained import fetch; fetch('whisper-base')"
ENV TALKERS_OFFLINE=1
WORKDIR /work
ENTRYPOINT ["talkers"]
CMD ["--help"]
