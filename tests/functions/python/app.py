"""A function as one writes it for Lambda, run by `python -m awslambdaric app.handler`."""

import json
import os
import time

if "FUNCTION_BROKEN" in os.environ:
    raise RuntimeError("broken as told")


def handler(event, context):
    if "Records" not in event:
        return event
    failures = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        note(body["name"])
        what = body["do"]
        if what == "fail":
            failures.append({"itemIdentifier": record["messageId"]})
        elif what == "throw":
            raise ValueError("thrown as told")
        elif what == "sleep":
            time.sleep(3600)
        elif what == "crash":
            os._exit(7)
        elif what == "wait":
            while not os.path.exists(os.environ["FUNCTION_GATE"]):
                time.sleep(0.005)
    return {"batchItemFailures": failures}


def note(name):
    print("handling", name)
    if "FUNCTION_DIARY" in os.environ:
        with open(os.environ["FUNCTION_DIARY"], "a") as diary:
            diary.write(name + "\n")
