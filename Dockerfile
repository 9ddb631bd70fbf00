# One image for receiver, worker and the one-shot migration: `docker compose up --build` runs all three.
# PostgreSQL and Redis are servers of their own here, so the embedded ones are not installed.

FROM python:3.13.9-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src

# Packages first: this layer is built again only when the lock changes. A lock is complete: nothing is resolved.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /app/.venv \
    && /app/.venv/bin/pip install --no-deps --require-hashes --only-binary :all: --requirement requirements.lock \
    && pip install --no-deps --require-hashes --only-binary :all: --requirement requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY mappings mappings
COPY handlers handlers
COPY middleware middleware
RUN python -m hatchling build --target wheel --directory dist \
    && /app/.venv/bin/pip install --no-index --no-deps dist/*.whl \
    && /app/.venv/bin/pip check \
    && /app/.venv/bin/pip uninstall --yes pip

FROM python:3.13.9-slim-bookworm
# Sources of Docker's own health check stay on the loop: a proxy of the environment is not asked.
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json MAPPINGS_FILE=/app/config/mappings.json
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /app billing
WORKDIR /app
COPY --from=build /app/.venv /app/.venv
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=3); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["taiga-billing"]
CMD ["serve"]
