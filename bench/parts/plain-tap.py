"""A tap in plain Python that writes as many records as it is told to, each through json.dumps, as taps do."""
import json
import sys

with open(sys.argv[sys.argv.index("--config") + 1], encoding="utf-8") as file:
    count = json.load(file)["records"]

write, dumps = sys.stdout.write, json.dumps
write(dumps({"type": "SCHEMA", "stream": "people", "schema": {"properties": {}}, "key_properties": ["id"]}) + "\n")
for n in range(1, count + 1):
    record = {"id": n, "name": f"Person {n}", "city": "Amsterdam", "amount": n / 4, "active": n % 2 == 0, "note": None}
    write(dumps({"type": "RECORD", "stream": "people", "record": record}) + "\n")
    if n % 10000 == 0:
        write(dumps({"type": "STATE", "value": {"last": n}}) + "\n")
write(dumps({"type": "STATE", "value": {"last": count}}) + "\n")
