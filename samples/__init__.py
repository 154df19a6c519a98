"""Tools of the sample agents, and how they read and say a moment. No clock: days and times come as arguments.

Each module is named after what its agent answers for. Where the data is kept is `samples.storage`'s secret.
"""

from datetime import datetime


def parse_moment(day: str, time: str) -> datetime | None:
    """Read an ISO day and a 24 hour time as local wall time; `None` when either is not one."""
    try:
        return datetime.strptime(f"{day.strip()} {time.strip()}", "%Y-%m-%d %H:%M")
    except ValueError:
        return None


def speak_moment(moment: datetime) -> str:
    """Make the words for a moment: `Friday 27 November at 20:00`."""
    return f"{moment:%A} {moment.day} {moment:%B} at {moment:%H:%M}"


def speak_digits(digits: str) -> str:
    """Put a space between digits, so that a voice reads them one by one and not as a million."""
    return " ".join(digits)
