"""Commands of the documents that no test runs, each with its reason. Unused entries fail a test."""

NOT_RUN = {
    "make demo": "minutes; `make test-demo` runs it, with docs/tutorial.md",
    "make test": "this is what runs in it",
    "make fetch": "creates an environment and downloads models; tests have both",
    "pip install jupyterlab": "installs packages",
    "jupyter lab": "runs until it is stopped",
    "editflow doctor": "its exit code depends on the machine; tests/flows/cli/doctor/test_doctor.py runs it",
    "prefect work-pool create editflow --type process": "changes the user's Prefect server",
    "EDITFLOW_HOME=$PWD prefect deploy --all": "the same; test_deployment_file.py checks them",
    "make up": "sets up an environment; test_deployment.py runs `editflow up`",
    "make down": "the same for `editflow down`",
    "cat .editflow/password": "the password of the services that `make up` starts",
    ". .editflow/env": "its address; test_deployment.py reads both",
    "prefect deployment run apply-edits/apply": "needs the services of `make up`; test_deployment.py has such runs",
    "prefect deployment run edit-model/demo --param spec=specs/smoke.toml": "the same",
    "export PREFECT_SERVER_DATABASE_CONNECTION_URL="
    "postgresql+asyncpg://prefect:PASSWORD@127.0.0.1:5432/prefect": "needs a Postgres",
    "EDITFLOW_HOME=$PWD prefect worker start --pool editflow": "runs until it is stopped",
    "editflow tune model --requests my-facts.jsonl --budget 30": "minutes; test_tune.py runs a whole search",
    "editflow tune model --requests my-facts.jsonl --budget 30 --set edit.method=memit --set edit.previous_keys=true": (
        "the same; a test there runs one trial of it"
    ),
    "editflow run specs/paper/gpt2-xl-counterfact.toml --set requests.count=20 --set edit.batch_size=10 "
    "--set corpus.tokens=500_000": "downloads 6 GB; tests/flows/spec/test_paper_specs.py reads the spec",
    "editflow impact --withdraw REQUEST-ID": "names no fact; tests/flows/test_withdraw.py withdraws some",
    "editflow impact --withdraw document:NAME": "the same for a document",
    "editflow rerun demo-run.zip": "repeats a whole run; test_export_run.py reruns bundles",
    "editflow tune smollm2-135m-instruct --requests counterfact.json --budget 36 --facts 40": (
        "half an hour, with a data set that is not part of the project"
    ),
    "editflow compare specs/compare/counterfact.toml": "hours, with a data set that is not part of the project; "
    "tests/flows/test_compare.py runs comparisons",
}
"""{command without its comment: reason}"""
