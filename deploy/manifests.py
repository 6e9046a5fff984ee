#!/usr/bin/env python3
"""Do the manifests in deploy/kubernetes fit Kubernetes' own schemas? `manifests.py [VERSION]`, by default 1.31 and the newest that is known.

The schemas are those that Kubernetes publishes, as packaged by `kubernetes-validate`; `strict` refuses fields that do not exist. That a
cluster would run them is more than a schema can say. 0 where all fit, 1 where one does not, 3 where the package is not installed.
"""

import sys
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent / "kubernetes"


def main(versions: list[str]) -> int:
    """Check every document of every file."""
    try:
        import kubernetes_validate as schemas  # noqa: PLC0415 -- 22 MB that nothing else needs
    except ImportError:
        print(
            "kubernetes-validate is not installed: manifests were NOT compared with Kubernetes' schemas",
            file=sys.stderr,
        )
        return 3
    wrong = count = 0
    for version in versions or ["1.31", schemas.latest_version()]:
        for path in sorted(FOLDER.glob("*.yaml")):
            for document in yaml.safe_load_all(path.read_text()):
                count += 1
                try:
                    schemas.validate(document, version, strict=True)
                except (schemas.ValidationError, schemas.SchemaNotFoundError) as error:
                    wrong += 1
                    print(
                        f"{path.name}: {document['kind']} {document['metadata']['name']}: {error}",
                        file=sys.stderr,
                    )
        print(f"  {'✗' if wrong else '✓'} {count} documents, Kubernetes {version}")
        count = 0
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
