"""The answers of an engine to the questions of sql/analyst, in a form that can be compared."""

import datetime
import decimal
import json


def plain(value):
    """A cell as JSON has it: numbers as numbers, times in UTC."""
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.astimezone()
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, (float, decimal.Decimal)):
        return round(float(value), 6)
    return value


def print_answers(folder, ask):
    """Asks each file as it stands."""
    answers = {}
    for path in sorted(folder.glob("*.sql")):
        if not path.name.startswith("views_"):
            answers[path.stem] = [[plain(cell) for cell in row] for row in ask(path.read_text())]
    print(json.dumps(answers))
