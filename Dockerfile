# The program; a project (params.yaml, sources, data) is mounted on /project. See docs/batch.md.
FROM python:3.13-slim
RUN apt-get update && apt-get install --yes --no-install-recommends git libgomp1 make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /winback
COPY Makefile pyproject.toml requirements.lock requirements-build.lock README.md LICENSE ./
COPY features features
COPY models models
COPY pipelines pipelines
RUN make .venv/bin/.run
RUN .venv/bin/python -m compileall -q .venv/lib features models pipelines
ENV PATH=/winback/.venv/bin:$PATH
# The project belongs to another user than the one of the container.
RUN git config --system --add safe.directory /project
WORKDIR /project
ENTRYPOINT ["winback"]
