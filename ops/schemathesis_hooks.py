"""How schemathesis writes the bodies that are no JSON."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A line for each: a text is taken as it is."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    values = value if isinstance(value, list) else [value]
    return "".join(json.dumps(one) + "\n" for one in values).encode()


@schemathesis.deserializer("application/x-ndjson")
def values(ctx, response):
    """What the lines say."""
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.serializer("application/x-protobuf")
def message(ctx, value):
    """A message without fields: what makes a batch is tested elsewhere."""
    return b""
