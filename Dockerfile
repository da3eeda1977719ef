# The worker image: Python, the locked dependencies and the three packages; no compiler, no package manager, no root.
FROM python:3.13-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
ENV UV_PROJECT_ENVIRONMENT=/opt/crossmargin UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never

# Dependencies change seldom and sources often, so they are layers of their own.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY engine ./engine
COPY schemas ./schemas
COPY streams ./streams
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.13-slim-bookworm
RUN useradd --system --create-home --home-dir /var/lib/crossmargin crossmargin
COPY --from=build /opt/crossmargin /opt/crossmargin
ENV PATH=/opt/crossmargin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CROSSMARGIN_DATA_DIR=/var/lib/crossmargin
USER crossmargin
WORKDIR /var/lib/crossmargin
VOLUME /var/lib/crossmargin
ENTRYPOINT ["crossmargin"]
