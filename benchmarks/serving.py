"""How fast one customer is answered over HTTP, and how fast a bad champion is taken back.

The models of the finished run are registered twice in a registry of its own, in a temporary folder.
`mlflow models serve` then answers one customer a request, with 1 and with 2 workers, asked by 1
and by 2 clients that each wait for their answer; client and server share the machine, so `cpu ms`,
what the server itself computed per request, says what a busy machine hides. `rollback` is the
whole command `winback promote --rollback`, starting Python and mlflow included, after which the
champion scores the customers again and the hash is compared with that of the scores archived
before. Run `winback run` first; `python benchmarks/serving.py --quick` takes a minute.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
from local_servers import free_port, running
from results import keep

RUN = Path.cwd()
CURRENT = RUN / "data/features/current.parquet"
WARM_UP = 30  # requests; each worker loads what it needs on its first
JSON = "application/json"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 requests and 20,000 customers")
    given = parser.parse_args()
    requests, rows = (200, 20_000) if given.quick else (2_000, 100_000)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        customers = pd.read_parquet(CURRENT).head(rows)
        customers.to_parquet(folder / "customers.parquet", index=False)
        register_twice(folder)
        print("workers clients  median ms   99% ms  requests/s  cpu ms")
        records = []
        for workers in (1, 2):
            with served(folder, workers) as (port, server):
                bodies = [body_of(row) for _, row in customers.head(100).iterrows()]
                ask_all(port, bodies, requests=WARM_UP * workers, clients=workers)
                for clients in (1, 2):
                    used = cpu_seconds(server)
                    taken, seconds = timed(port, bodies, requests=requests, clients=clients)
                    used = cpu_seconds(server) - used
                    median, late = statistics.median(taken), taken[int(0.99 * requests)]
                    records.append(
                        {
                            "workers": workers,
                            "clients": clients,
                            "median ms": 1e3 * median,
                            "99% ms": 1e3 * late,
                            "requests/s": requests / seconds,
                        }
                    )
                    print(
                        f"{workers:>7} {clients:>7} {1e3 * median:>10.1f} {1e3 * late:>8.1f} "
                        f"{requests / seconds:>11.1f} {1e3 * used / requests:>7.1f}",
                        flush=True,
                    )
        keep("one customer over HTTP", records)
        roll_back(folder, len(customers))


def timed(
    port: int, bodies: list[bytes], *, requests: int, clients: int
) -> tuple[list[float], float]:
    """Seconds of each request, shortest first, and of all together."""
    begun = time.perf_counter()
    taken = ask_all(port, bodies, requests=requests, clients=clients)
    return sorted(taken), time.perf_counter() - begun


def cpu_seconds(server: int) -> float:
    """What a server and its workers have computed so far."""
    first = psutil.Process(server)
    times = [each.cpu_times() for each in (first, *first.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def ask_all(port: int, bodies: list[bytes], *, requests: int, clients: int) -> list[float]:
    """Seconds of each request; every client asks its share one after another."""

    def client(number: int) -> list[float]:
        connection, taken = http.client.HTTPConnection("127.0.0.1", port, timeout=60), []
        for place in range(number, requests, clients):
            begun = time.perf_counter()
            connection.request(
                "POST", "/invocations", bodies[place % len(bodies)], {"Content-Type": JSON}
            )
            answer = connection.getresponse()
            text = answer.read()
            taken.append(time.perf_counter() - begun)
            if answer.status != http.client.OK:
                raise RuntimeError(text.decode())
        return taken

    with ThreadPoolExecutor(clients) as pool:
        return [seconds for taken in pool.map(client, range(clients)) for seconds in taken]


def body_of(customer: pd.Series) -> bytes:
    """The request for one customer, numbers with every digit."""
    known = customer.drop("as_of").astype("object")
    record = {
        name: None if pd.isna(value) else getattr(value, "item", lambda value=value: value)()
        for name, value in known.items()
    }
    return json.dumps({"dataframe_records": [record]}).encode()


@contextmanager
def served(folder: Path, workers: int) -> Iterator[tuple[int, int]]:
    """Port and process of a server of the champion, ready to answer."""
    port = free_port()
    line = "mlflow models serve --model-uri models:/winback@champion --env-manager local"
    line += f" --host 127.0.0.1 --port {port} -w {workers}"
    ping = f"http://127.0.0.1:{port}/ping"
    with running(line, ping=ping, folder=folder, **environment(folder)) as server:
        yield int(port), server


def register_twice(folder: Path) -> None:
    """Version 1, @champion, and version 2, @previous, which sends everybody nothing."""
    from mlflow import MlflowClient

    from winback.pipelines.storage.atomic import write_manifest

    shutil.copy(RUN / "params.yaml", folder)
    shutil.copytree(RUN / "sources", folder / "sources")
    other = shutil.copytree(RUN / "artifacts/decision", folder / "other")
    decision = json.loads((other / "decision.json").read_text())
    nobody = {"personalize": False, "best_single": decision["control"]}
    decision["by_objective"] = {decision["objective"]: nobody}
    (other / "decision.json").write_text(json.dumps(decision))
    write_manifest(other, json.loads((other / "_manifest.json").read_text()))
    places = {
        "features": "data/features",
        "churn": "artifacts/churn",
        "winback": "artifacts/winback",
        "decision": "artifacts/decision",
        "metrics": "reports/metrics.json",
        "policies": "reports/policies.json",
        "plots": "reports/plots",
        "report": "reports/report.html",
    }
    given = [word for name, path in places.items() for word in (f"--{name}", str(RUN / path))]
    for decided in (RUN / "artifacts/decision", other):
        run(folder, "register", "--allow-dirty", *given, "--decision", str(decided))
    client = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])
    for alias, version in (("champion", "1"), ("previous", "2")):
        client.set_registered_model_alias("winback", alias, version)


def roll_back(folder: Path, rows: int) -> None:
    """Archive the scores of version 1, crown version 2, take it back, and score again."""
    archived = scores(folder)
    run(folder, "promote", "--rollback")  # version 2 takes over
    between = scores(folder)
    begun = time.perf_counter()
    run(folder, "promote", "--rollback")
    seconds = time.perf_counter() - begun
    again = scores(folder)
    print(
        f"rollback: {seconds:.1f} s; scores of {rows:,} customers after it "
        f"{'equal' if again == archived else 'DIFFER FROM'} those archived before "
        f"(those in between {'equal' if between == archived else 'differ'})"
    )


def scores(folder: Path) -> dict[str, str]:
    """SHA-256 of each part that the champion scores."""
    run(folder, "score", "--features", "customers.parquet", "--no-suppressions", "--out", "scores")
    files = json.loads((folder / "scores/_manifest.json").read_text())["files"]
    return {name: each["sha256"] for name, each in files.items()}


def run(folder: Path, *command: str) -> None:
    """A command of winback in the folder, with the registry of the folder."""
    done = subprocess.run(
        ["winback", *command], cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)


def environment(folder: Path) -> dict[str, str]:
    """Programs of this environment first, and the registry of the folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return os.environ | {"PATH": path, "MLFLOW_TRACKING_URI": uri}


if __name__ == "__main__":
    main()
