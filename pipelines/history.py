"""`winback history`: which model was champion when, by which gates, and what was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .registry.aliases import Move, finish_moving, moves
from .registry.opened_model import registry
from .storage.mlflow_home import MODEL_NAME
from .storage.places import Place
from .storage.shared_files import below, published_folders
from .tables.campaign_files import read_summary


@dataclass(frozen=True)
class Sent:
    """A campaign: when it was drawn (UTC), its name, customers sent an offer and held out."""

    at: datetime
    campaign: str
    sent: int
    held_out: int


def history(campaigns: Place) -> list[Move | Sent]:
    """Every move of the champion and every campaign, in the order of time.

    Moves keep the order in which they were made, whatever the clock said.
    """
    client = registry()
    finish_moving(client)
    events: list[Move | Sent] = [*moves(client)]
    for campaign in sorted(_campaigns(campaigns), key=lambda event: event.at):
        index = next((n for n, event in enumerate(events) if event.at > campaign.at), len(events))
        events.insert(index, campaign)
    return events


def champion_at(events: list[Move | Sent], moment: datetime) -> Move | None:
    """The last move up to a moment (UTC): its alias "champion" names the version; None before."""
    until = [event for event in events if isinstance(event, Move) and event.at <= moment]
    return until[-1] if until else None


def history_text(events: list[Move | Sent], at: datetime | None) -> str:
    """All events, or the champion of a moment and the gates that let it pass, for a terminal."""
    if at is None:
        lines = [_line(event) for event in events]
        return "\n".join(lines or ["No model was ever promoted here, and no campaign drawn."])
    move = champion_at(events, at)
    if move is None:
        return f"Before {at:%Y-%m-%d %H:%M} there was no champion."
    sent = [event for event in events if isinstance(event, Sent) and event.at <= at]
    lines = [
        f"models:/{MODEL_NAME}/{move.aliases['champion']} was champion at {at:%Y-%m-%d %H:%M} UTC, "
        f"since {move.at:%Y-%m-%d %H:%M} by {move.command}",
        *(f"  {name}: {said}" for name, said in move.gates.items()),
    ]
    if sent:
        lines.append(f"Last campaign until then: {_line(sent[-1])}")
    return "\n".join(lines)


def _line(event: Move | Sent) -> str:
    when = f"{event.at:%Y-%m-%d %H:%M}"
    if isinstance(event, Sent):
        sent = f"{event.sent:,} customers sent an offer, {event.held_out:,} held out"
        return f"{when}  campaign {event.campaign}: {sent}"
    aliases = ", ".join(f"@{alias} is version {at}" for alias, at in event.aliases.items())
    return f"{when}  {event.command}: {aliases}"


def _campaigns(folder: Place) -> list[Sent]:
    campaigns = []
    for name in published_folders(folder):
        summary = read_summary(below(folder, name))
        at = datetime.fromisoformat(summary["drawn_at"])
        campaigns.append(
            Sent(at, summary["campaign"], summary["funnel"]["sent"], summary["held_out"])
        )
    return campaigns
