"""Commands of the documents that no test runs, each with its reason. An entry that no document has any more fails."""

NOT_RUN = {
    "make demo": "minutes; `make test-demo` runs it, with docs/tutorial.md",
    "make test": "this is what runs in it",
    "make fetch": "sets up an environment of its own and downloads; tests have both",
    "pip install jupyterlab": "installs packages",
    "jupyter lab": "runs until it is stopped",
    "editflow doctor": "its exit code speaks of the machine it runs on; tests/flows/cli/doctor/test_doctor.py runs it",
    "prefect work-pool create editflow --type process": "changes a Prefect server of one's own",
    "EDITFLOW_HOME=$PWD prefect deploy --all": "the same; test_deployment_file.py checks them",
    "make up": "sets up an environment; test_deployment.py says `editflow up`",
    "make down": "the same of `editflow down`",
    "cat .editflow/password": "the password of what `make up` would have started",
    ". .editflow/env": "its address; test_deployment.py reads both",
    "prefect deployment run apply-edits/apply": "needs what `make up` starts; test_deployment.py has runs",
    "prefect deployment run edit-model/demo --param spec=specs/smoke.toml": "the same",
    "export PREFECT_SERVER_DATABASE_CONNECTION_URL="
    "postgresql+asyncpg://prefect:PASSWORD@127.0.0.1:5432/prefect": "needs a Postgres",
    "EDITFLOW_HOME=$PWD prefect worker start --pool editflow": "runs until it is stopped",
    "editflow tune model --requests my-facts.jsonl --budget 30": "minutes; test_tune.py runs a whole scan",
    "editflow tune model --requests my-facts.jsonl --budget 30 --set edit.method=memit --set edit.previous_keys=true": (
        "the same; a test there runs one trial of it"
    ),
    "editflow run specs/paper/gpt2-xl-counterfact.toml --set requests.count=20 --set edit.batch_size=10 "
    "--set corpus.tokens=500_000": "downloads 6 GB; tests/flows/spec/test_paper_specs.py reads the spec",
    "editflow impact --withdraw REQUEST-ID": "names no fact; tests/flows/test_withdraw.py withdraws some",
    "editflow impact --withdraw document:NAME": "the same of a document",
    "editflow rerun demo-run.zip": "repeats a whole run; test_export_run.py repeats packed ones",
    "editflow tune smollm2-135m-instruct --requests counterfact.json --budget 36 --facts 40": (
        "half an hour, with a data set that is not part of the project"
    ),
    "editflow compare specs/compare/counterfact.toml": "hours, with a data set that is not part of the project; "
    "tests/flows/test_compare.py runs comparisons",
}
"""{command without the remark behind it: reason}"""
