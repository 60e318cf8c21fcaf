"""Asks boaviztapi what making each of the servers on standard input emitted; see ops/boaviztapi."""

import json
import sys

from boaviztapi.compute.impacts_computation import compute_single_impact
from boaviztapi.data.archetype import get_server_archetype
from boaviztapi.dto.device import Server
from boaviztapi.dto.device.device import mapper_server

answers = []
for configuration in json.load(sys.stdin):
    server = mapper_server(Server(**configuration), archetype=get_server_archetype("platform_compute_medium"))
    # Over its whole life, so nothing is prorated; not through the routes, which round to two or three digits.
    impact = compute_single_impact(server, "embedded", "gwp", server.usage.hours_life_time.value)
    answers.append({"value": impact.value, "min": impact.min, "max": impact.max})
json.dump(answers, sys.stdout)
