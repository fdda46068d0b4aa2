"""Clients of object stores, made from the environment as the stores' own tools read it."""

from __future__ import annotations

import os
from typing import Any

from .atomic import StoreError

SCHEMES = ("s3", "gs", "abfs")


def file_system(scheme: str) -> Any:
    """The client of a store, a file system of pyarrow.

    Parameters
    ----------
    scheme
        Of `SCHEMES`: Amazon's S3 and whatever speaks its protocol, Google Cloud Storage, Azure
        Blob Storage.

    Raises
    ------
    StoreError
        If the environment does not name the account of Azure.
    """
    from pyarrow import fs

    if scheme == "gs":
        return fs.GcsFileSystem()
    return _azure(fs) if scheme == "abfs" else _s3(fs)


def _s3(fs: Any) -> Any:
    given: dict[str, Any] = {}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        given["region"] = region
    # pyarrow reads the other variables itself, but not these two of Amazon's own tools.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        scheme, separator, host = endpoint.rpartition("://")
        given |= {"endpoint_override": host, "scheme": scheme if separator else "https"}
    return fs.S3FileSystem(**given)


def _azure(fs: Any) -> Any:
    """By the variables of Azure's command line; without a key by `DefaultAzureCredential`."""
    account = os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise StoreError("abfs://: AZURE_STORAGE_ACCOUNT must name the account; it is not set")
    given: dict[str, Any] = {}
    if key := os.environ.get("AZURE_STORAGE_KEY"):
        given["account_key"] = key
    elif token := os.environ.get("AZURE_STORAGE_SAS_TOKEN"):
        given["sas_token"] = token
    if endpoint := os.environ.get("AZURE_STORAGE_SERVICE_ENDPOINT"):
        scheme, separator, host = endpoint.rstrip("/").rpartition("://")
        for service in ("blob", "dfs"):
            given[f"{service}_storage_authority"] = host
            given[f"{service}_storage_scheme"] = scheme if separator else "https"
    return fs.AzureFileSystem(account, **given)
