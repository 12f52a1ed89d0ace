# syntax=docker/dockerfile:1
# Builds the `tocsin` binary and puts it, alone, into a small image.

FROM rust:1.95-slim-bookworm AS build
# aws-lc (TLS), SQLite and zstd are built from their C sources.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential cmake pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG TOCSIN_GIT_HASH
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    TOCSIN_GIT_HASH="${TOCSIN_GIT_HASH:-}" cargo build --release --locked --bin tocsin \
    && cp target/release/tocsin /usr/local/bin/tocsin

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin tocsin \
    && install --directory --owner=tocsin --group=tocsin /data
COPY --from=build /usr/local/bin/tocsin /usr/local/bin/tocsin
# A day of CloudTrail for trying things out: see docker/feed.sh.
COPY assets/sample-day/*.json.gz /usr/share/tocsin/sample/
USER tocsin
WORKDIR /data
ENV TOCSIN_DATA_DIR=/data
VOLUME ["/data"]
# `docker stop` sends SIGTERM, on which the service drains and ends.
# Freed memory goes back to the system at once.
ENV MIMALLOC_PURGE_DELAY=0
ENTRYPOINT ["tocsin"]
CMD ["run"]
