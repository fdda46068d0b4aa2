"""Where stages and commands read and write unless told otherwise; the stages as in dvc.yaml."""

from __future__ import annotations

from pathlib import Path

PATHS = {
    "fingerprint": Path("data/fingerprint.json"),
    "tables": Path("data/tables"),
    "truth": Path("data/truth"),
    "features": Path("data/features"),
    "recommendations": Path("data/recommendations.parquet"),
    "scores": Path("data/scores"),
    "campaigns": Path("data/campaigns"),
    "churn": Path("artifacts/churn"),
    "winback": Path("artifacts/winback"),
    "decision": Path("artifacts/decision"),
    "metrics": Path("reports/metrics.json"),
    "headline": Path("reports/headline.json"),
    "policies": Path("reports/policies.json"),
    "plots": Path("reports/plots"),
    "monitor": Path("reports/monitor.csv"),
    "report": Path("reports/report.html"),
    "summary": Path("reports/summary.txt"),
}
