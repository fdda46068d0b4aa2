"""An S3 server of our own (moto's), with one bucket, for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_servers import free_port, running

BUCKET = "winback"


@contextmanager
def running_s3(folder: Path) -> Iterator[dict[str, str]]:
    """The environment that leads to the server, which ends with the block."""
    address = f"http://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    with running(f"moto_server -H 127.0.0.1 -p {port}", ping=f"{address}/moto-api/", folder=folder):
        environment = {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        client(environment).create_bucket(Bucket=BUCKET)
        yield environment


def client(environment: dict[str, str]) -> Any:
    """Amazon's own client, to see what lies there."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )


def keys(environment: dict[str, str], below: str) -> list[str]:
    """The keys below a prefix."""
    found = client(environment).list_objects_v2(Bucket=BUCKET, Prefix=below)
    return [entry["Key"] for entry in found.get("Contents", [])]
