"""Talks to an agent with Agno's own client: `pip install agno fastapi`, then `RUNHOLD_TOKEN=… python examples/client.py`."""

import asyncio
import os

from agno.client import AgentOSClient

URL = os.environ.get("RUNHOLD_URL", "http://127.0.0.1:7777")
HEADERS = {"Authorization": f"Bearer {os.environ['RUNHOLD_TOKEN']}"}


async def main() -> None:
    client = AgentOSClient(base_url=URL)

    run = await client.run_agent("assistant", "What is 6 times 7?", headers=HEADERS)
    print(run.content)

    stream = client.run_agent_stream(
        "assistant", "What time is it in Tokyo?", session_id=run.session_id, headers=HEADERS
    )
    async for event in stream:
        if event.event == "ToolCallStarted":
            print(f"[{event.tool.tool_name} {event.tool.tool_args}]")
        elif event.event == "RunContent" and event.content:
            print(event.content, end="", flush=True)
    print()


asyncio.run(main())
