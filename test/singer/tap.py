"""A tap in plain Python, without the library: it does what its config says, well or badly."""
import json
import os
import signal
import subprocess
import sys
import time


def given(flag):
    if flag not in sys.argv:
        return None
    with open(sys.argv[sys.argv.index(flag) + 1], encoding="utf-8") as file:
        return json.load(file)


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")


def schema(stream, keys=("id",)):
    properties = {"id": {"type": "integer"}, "text": {"type": "string"}}
    say({"type": "SCHEMA", "stream": stream, "schema": {"properties": properties}, "key_properties": list(keys)})


def discover(config):
    streams = [
        {"tap_stream_id": f"public-{name}", "stream": name, "schema": {}, "metadata": [{"breadcrumb": [], "metadata": {"table": name}}]}
        for name in config.get("streams", ["items"])
    ]
    say({"streams": streams})


def chosen(catalog):
    if catalog is None:
        return None
    for stream in catalog["streams"]:
        root = next((m["metadata"] for m in stream.get("metadata", []) if m["breadcrumb"] == []), {})
        if root.get("selected"):
            sys.stderr.write("method " + str(root.get("replication-method")) + " key " + str(root.get("replication-key")) + "\n")
            return stream["stream"]
    return None


def rows(config):
    with open(config["rows"], encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def misbehave(config, at):
    """What the config wants to happen before this record."""
    for act in config.get("acts", []):
        if act["at"] != at:
            continue
        if "say" in act:
            sys.stdout.write(act["say"])
        if "log" in act:
            sys.stderr.write(act["log"])
            sys.stderr.flush()
        sys.stdout.flush()
        if "note" in act:
            with open(act["note"], "w", encoding="utf-8") as file:
                file.write(f"{os.getpid()} {sys.argv[sys.argv.index('--config') + 1]}")
        if act.get("child"):
            subprocess.Popen(["sleep", "1000"])
        if act.get("deaf"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if act.get("hang"):
            time.sleep(1000)
        if "kill" in act:
            os.kill(os.getpid(), act["kill"])
        if "exit" in act:
            os._exit(act["exit"])


def main():
    config = given("--config")
    if "--discover" in sys.argv:
        return discover(config)
    state = given("--state") or {}
    last = state.get("last", 0)
    stream = chosen(given("--catalog")) or config.get("stream", "items")
    every = config.get("every", 100)
    if config.get("schema", True):
        schema(stream)
    seen = 0
    for row in rows(config):
        if row["id"] <= last:
            continue
        misbehave(config, row["id"])
        seen += 1
        say({"type": "RECORD", "stream": stream, "record": row, **config.get("more", {})})
        if every > 0 and seen % every == 0:
            say({"type": "STATE", "value": {"last": row["id"]}})
        last = row["id"]
    misbehave(config, "end")
    if config.get("final", True):
        say({"type": "STATE", "value": {"last": last}})
    return None


main()
