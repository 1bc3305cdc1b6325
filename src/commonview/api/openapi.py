"""`python -m commonview.api.openapi > web/openapi.json`: what the console's client is made from."""

import json
import sys

from commonview.api.app import create_app


def main() -> None:
    """Write the document to standard output."""
    json.dump(create_app(None).openapi(), sys.stdout, ensure_ascii=False, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
