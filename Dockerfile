# syntax=docker/dockerfile:1
# Three stages: the first builds the dashboard, the second a virtual environment with it; the third holds nothing but
# that environment and runs as an unprivileged user.

FROM python:3.13-slim-bookworm AS dashboard
WORKDIR /build
COPY requirements-dashboard.lock ./
RUN python -m venv /opt/node \
 && /opt/node/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-dashboard.lock
COPY openapi ./openapi
COPY dashboard ./dashboard
RUN /opt/node/bin/python dashboard/build.py

FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements-runtime.lock ./
RUN python -m venv /opt/journey \
 && /opt/journey/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-runtime.lock
COPY pyproject.toml README.md ./
COPY src ./src
COPY migrations ./migrations
COPY --from=dashboard /build/src/journey_service/dashboard ./src/journey_service/dashboard
RUN /opt/journey/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.13-slim-bookworm
COPY --from=build /opt/journey /opt/journey
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin journey
USER journey
ENV PATH=/opt/journey/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
# `journey worker` runs from the same image; it listens nowhere, so give it --no-healthcheck.
# `journey migrate` is run once, before, with the same image and MIGRATION_DATABASE_URL.
CMD ["journey", "api", "--host", "0.0.0.0", "--port", "8000"]
