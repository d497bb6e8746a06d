"""A capability of one's own in any language: one line of JSON in, one line of JSON out.

In an agent's file (the command runs in the folder of agents):

    tools:
      - name: throw_dice
        description: Throws dice.
        kind: process
        command: [python3, tools/own_tool.py]
        parameters: {type: object, properties: {count: {type: integer, minimum: 1, maximum: 20}}}

The registry shows it as the capability `declarative:throw_dice`, which other agents and sessions can be given too.
"""

import json
import random
import sys

order = json.loads(sys.stdin.readline())
# The same call has the same key, also after a restart: the dice fall as they fell.
dice = random.Random(order["idempotency_key"])
thrown = [dice.randint(1, 6) for _ in range(order.get("count", 1))]
print(json.dumps({"thrown": thrown, "sum": sum(thrown)}))
