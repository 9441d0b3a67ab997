# Two stages: the first installs from the hash-pinned lock, the second gets only what runs.
# The entry point takes the flags of `serve`; the other commands stand behind `--entrypoint marketplace`.
#
#   docker build -t marketplace .
#   docker run --rm -p 127.0.0.1:8080:8080 -v marketplace:/data marketplace \
#     --host 0.0.0.0 --trusted-network

ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
COPY requirements.lock /build/requirements.lock
# The environment has no pip of its own; the build stage's one fills it and stays behind.
RUN python -m venv --without-pip /opt/marketplace \
 && pip --python /opt/marketplace/bin/python install --no-cache-dir --require-hashes -r /build/requirements.lock
COPY marketplace /build/marketplace
COPY migrations /build/marketplace/_migrations
RUN site="$(/opt/marketplace/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && cp -r /build/marketplace "$site/marketplace" \
 && printf '#!/bin/sh\nexec /opt/marketplace/bin/python -m marketplace "$@"\n' > /opt/marketplace/bin/marketplace \
 && chmod 755 /opt/marketplace/bin/marketplace \
 && /opt/marketplace/bin/python -m compileall -q /opt/marketplace/lib

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home marketplace
COPY --from=build /opt/marketplace /opt/marketplace
ENV PATH=/opt/marketplace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MARKETPLACE_PORT=8080 \
    MARKETPLACE_DATABASE_URL=sqlite:////data/marketplace.db
USER marketplace
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"MARKETPLACE_PORT\"]}/readyz', timeout=4)"]
ENTRYPOINT ["marketplace", "serve"]
